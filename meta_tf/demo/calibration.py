"""What a page needs of a learner's calibration, for `calibration.js`."""

from __future__ import annotations

from typing import Any

from meta_tf.calibration import Calibration


def calibration_for_page(calibration: Calibration | None) -> dict[str, Any] | None:
    """The `temperature`'s formula, the `thresholds`, and the `spread`; None without any."""
    if calibration is None:
        return None
    return {
        "temperature": calibration.temperature_formula(),
        "thresholds": calibration.get_config()["thresholds"],
        "spread": calibration.spread,
    }
