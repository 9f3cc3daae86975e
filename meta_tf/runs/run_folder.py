"""What a long training needs beside Keras's own callbacks: an exact resume."""

from __future__ import annotations

import csv
import io
import math
import time
from pathlib import Path
from typing import Any

import keras

from meta_tf.evaluation.metrics_csv import METRICS, read_metrics
from meta_tf.files import whole_file, write_text

_CHECKPOINTS = "checkpoints"


class RunLog(keras.callbacks.Callback):
    """After every epoch writes a row of `metrics.csv` and then a checkpoint.

    A checkpoint is the whole learner as a `.keras` file: weights, optimiser, seeds.
    It appears under its name only when it is complete, so that a run that is killed
    at any moment goes on from the last one, and ends with the weights that it would
    have had. The csv's `seconds` are the time that the epoch took, with its validation.

    Args:
      folder: the run's folder.
      iteration: how many outer steps the learner has made already. Rows of the csv
        beyond that are dropped: they belong to steps that will be made again.

    Example:
      >>> import tempfile
      >>> log = RunLog(tempfile.mkdtemp())
      >>> batches = meta_tf.tasks.Sinusoid().train.batches(25, start=log.iteration)
      >>> history = learner.fit(batches, steps_per_epoch=2, verbose=0, callbacks=[log])
      >>> latest_checkpoint(log.folder)[1]
      2
    """

    def __init__(self, folder: str | Path, iteration: int = 0) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.iteration = iteration
        self._start = time.perf_counter()
        (self.folder / _CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_metrics(self.folder) if row["iteration"] <= iteration]
        self._write(rows)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch
        self.iteration += self.params["steps"]
        seconds = round(time.perf_counter() - self._start, 3)
        row = {"iteration": self.iteration, **(logs or {}), "seconds": seconds}
        self._write([*read_metrics(self.folder), row])
        save_checkpoint(self.model, self.folder, self.iteration)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            (self.folder / METRICS).unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[-1]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / METRICS, text.getvalue())


def training_minutes(folder: str | Path) -> float | None:
    """How long the outer steps of a run took, by its `metrics.csv`.

    Adds up the epochs that led to the present weights, whatever stood still between them or
    was lost by an interruption. None if the csv does not know the time of every one of them.
    """
    seconds = [row.get("seconds", math.nan) for row in read_metrics(folder)]
    total = sum(seconds) / 60
    return round(total, 2) if seconds and math.isfinite(total) else None


def save_checkpoint(learner: keras.Model, folder: str | Path, iteration: int) -> Path:
    """Writes the learner as the run's checkpoint, in place of the one before."""
    checkpoints = Path(folder) / _CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    path = checkpoints / f"{iteration:08d}.keras"
    save_learner(learner, path)
    for other in checkpoints.glob("*.keras"):
        if other != path:
            other.unlink()
    return path


def save_learner(learner: keras.Model, path: str | Path) -> None:
    """Saves a learner to a `.keras` file that is never half written."""
    with whole_file(path) as part:
        learner.save(part)


def latest_checkpoint(folder: str | Path) -> tuple[Path | None, int]:
    """The run's last checkpoint and its number of outer steps; `(None, 0)` if there is none."""
    found = sorted((Path(folder) / _CHECKPOINTS).glob("[0-9]*.keras"))
    return (found[-1], int(found[-1].stem)) if found else (None, 0)
