"""What a client of an export needs of a learner's calibration, beside the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meta_tf.files import write_text
from meta_tf.learner import MetaLearner
from meta_tf.learner.calibrate import classifies
from meta_tf.learner.query_batch import depends_on_batch
from meta_tf.network.check_loss import takes_logits


def calibration_of(learner: MetaLearner) -> dict[str, Any]:
    """The descriptions by name; empty for a learner that is not a calibrated classifier.

    `temperature`: `Calibration.temperature_formula`, if predictions are logits. `thresholds`:
    `Calibration.threshold_table`, for the output `strangeness`, and `batch_with`: "support" if
    they hold for a query in one batch with the support set only, as in transductive batch norm;
    None if the batch does not matter.
    """
    calibration = learner.calibration
    if calibration is None or not classifies(learner):
        return {}
    batch_with = "support" if depends_on_batch(learner.network) else None
    thresholds = {**calibration.threshold_table(), "batch_with": batch_with}
    if not takes_logits(learner.network.loss):
        return {"thresholds": thresholds}
    return {"temperature": calibration.temperature_formula(), "thresholds": thresholds}


def write_calibration(exported: Path, learner: MetaLearner) -> None:
    """Writes each description to `FILE.NAME.json` beside an exported file or folder."""
    for name, described in calibration_of(learner).items():
        path = exported.with_name(f"{exported.name}.{name}.json")
        write_text(path, json.dumps(described, indent=2) + "\n")
