"""The calibrations of shipped learners, in files beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meta_tf.calibration import Calibration

FOLDER = Path(__file__).resolve().parent


def calibration_file(name: str) -> Path:
    """The file with the calibration of a shipped learner; some have none."""
    return FOLDER / f"{name}.calibration.json"


def about_calibration(name: str) -> dict[str, Any] | None:
    """The content of `calibration_file`: the `calibration`, its `command`, results on `test` tasks.

    None if there is no file.
    """
    path = calibration_file(name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def calibration_of(name: str) -> Calibration | None:
    """The calibration of a shipped learner; None if it has none."""
    about = about_calibration(name)
    return Calibration.from_config(about["calibration"]) if about else None
