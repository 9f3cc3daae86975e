"""What a client of an export needs to know of a learner: in `meta_tf.json`, or beside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meta_tf.files import write_json_beside
from meta_tf.learner import MetaLearner
from meta_tf.learner.calibrate import classifies
from meta_tf.learner.query_batch import depends_on_batch
from meta_tf.network.losses import takes_logits


def described(learner: MetaLearner) -> dict[str, dict[str, Any] | None]:
    """The descriptions by name; None for what a learner does not have.

    `columns`: what an export takes in place of a table's texts and gaps: for a category its place
    in its list, for a gap the number `missing`. `temperature`: `Calibration.temperature_formula`,
    if predictions are logits. `thresholds`: `Calibration.threshold_table`, for the output
    `strangeness`, and `batch_with`: "support" if they hold only for a query in one batch with the
    support set, as in transductive batch norm; None if the batch does not matter.
    """
    found: dict[str, dict[str, Any] | None] = dict.fromkeys(
        ("columns", "temperature", "thresholds")
    )
    if learner.columns is not None:
        found["columns"] = learner.columns.described()
    calibration = learner.calibration
    if calibration is not None and classifies(learner):
        if takes_logits(learner.network.loss):
            found["temperature"] = calibration.temperature_formula()
        batch_with = "support" if depends_on_batch(learner.network) else None
        found["thresholds"] = {**calibration.threshold_table(), "batch_with": batch_with}
    return found


def write_beside(exported: Path, learner: MetaLearner) -> None:
    """Writes each description to `FILE.NAME.json` beside an exported file or folder.

    Removes those of an earlier export that this one does not have.
    """
    for name, description in described(learner).items():
        write_json_beside(exported, name, description)
