"""The temperature that an export's logits are divided by, beside the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meta_tf.files import write_text
from meta_tf.learner import MetaLearner
from meta_tf.network.check_loss import takes_logits


def formula_of(learner: MetaLearner) -> dict[str, Any] | None:
    """`Calibration.temperature_formula`; None for a learner without a calibration or logits."""
    calibration = learner.calibration
    if calibration is None or not takes_logits(learner.network.loss):
        return None
    return calibration.temperature_formula()


def write_temperature(exported: Path, learner: MetaLearner) -> None:
    """Writes it, if there is one, to `FILE.temperature.json` beside an exported file or folder."""
    if formula := formula_of(learner):
        path = exported.with_name(f"{exported.name}.temperature.json")
        write_text(path, json.dumps(formula, indent=2) + "\n")
