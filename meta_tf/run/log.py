"""`RunLog`: checkpoints and metrics of a training that can be resumed exactly."""

from __future__ import annotations

import csv
import io
import math
import time
from pathlib import Path
from typing import Any

import keras

from meta_tf.evaluation.metrics_csv import METRICS, read_metrics
from meta_tf.files import make_folder, write_text
from meta_tf.run.checkpoints import (
    NotFiniteError,
    best_iteration,
    damaged_metrics,
    save_checkpoint,
)
from meta_tf.run.stop import StopRequest
from meta_tf.run.workers import Workers


class DivergedError(ValueError):
    """The training cannot continue: `what` became nan or infinite between two steps."""

    def __init__(self, what: str, first: int, last: int) -> None:
        super().__init__(what)
        self.first, self.last = first, last


class RunLog(keras.callbacks.Callback):
    """After every epoch, writes a checkpoint and then a row of `metrics.csv`.

    A checkpoint is the whole learner as a `.keras` file: weights, optimiser and seeds. It gets its
    name only when it is complete. So a run that is killed at any moment continues from the last
    one, and ends with the same weights as without interruption. In the csv, `seconds` is the
    duration of the epoch, including its validation.

    Args:
      folder: the run's folder.
      iteration: the number of outer steps of the learner so far. Later rows of the csv are
        removed, because their steps will be repeated.
      keep: the number of checkpoints to keep.
      keep_best: whether to keep the one with the lowest validation loss too.
      epoch: what the checkpoint stores about its epoch (`checkpoints.epoch_of`).
      stop: if it requests a stop, a checkpoint is saved after the current step (or the steps of
        the current call), and `Stopped` is raised.
      workers: the processes that train together. Only the chief writes; all stop together.
      settings: what the run was made with, which its checkpoints store.

    Raises:
      DivergedError: if a loss or a weight is not finite after a step. Then nothing is saved.

    Example:
      >>> import tempfile
      >>> log = RunLog(tempfile.mkdtemp())
      >>> batches = meta_tf.tasks.Sinusoid().train.batches(25, start=log.iteration)
      >>> history = learner.fit(batches, steps_per_epoch=2, verbose=0, callbacks=[log])
      >>> log.iteration
      2
    """

    def __init__(
        self,
        folder: str | Path,
        iteration: int = 0,
        *,
        keep: int = 2,
        keep_best: bool = False,
        epoch: dict[str, Any] | None = None,
        stop: StopRequest | None = None,
        workers: Workers | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.iteration = iteration  # before this epoch, or before the rest of it
        self._keep, self._keep_best = keep, keep_best
        self._epoch = epoch or {}
        self._stop = stop or StopRequest()
        self._workers = workers or Workers()
        self._settings = settings
        self._start = time.perf_counter()
        self._checked = iteration
        if not self._workers.is_chief:
            return
        make_folder(self.folder)
        present = read_metrics(self.folder)
        rows = [row for row in present if row["iteration"] <= iteration]
        last = self._epoch.get("row")  # not in the csv yet if the run was killed in between
        if last and iteration not in [row["iteration"] for row in rows]:
            rows.append(last)
        if rows != present:
            self._write(rows)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self._start = time.perf_counter() - self._epoch.get("seconds", 0.0)
        values = self._epoch.get("metrics", [])
        variables = self.model.metrics_variables
        if values:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self._epoch = {}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        done = self.iteration + batch + 1
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise DivergedError("the loss became nan or infinite", self._checked + 1, done)
        if batch + 1 < self.params["steps"] and self._is_asked_to_stop():
            variables = self.model.metrics_variables
            values = [keras.ops.convert_to_numpy(variable).tolist() for variable in variables]
            path = self._save(done, {"seconds": self._seconds(), "metrics": values})
            self._stop.raise_if_asked(_saved(done, path))
        self._checked = done

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch
        done = self.iteration + self.params["steps"]
        if not math.isfinite((logs or {}).get("val_loss", 0.0)):
            what = "the validation loss became nan or infinite"
            raise DivergedError(what, self.iteration + 1, done)
        row = {"iteration": done, **(logs or {}), "seconds": self._seconds()}
        path = self._save(done, {"row": row})
        if path:
            self._write([*read_metrics(self.folder), row])
        self.iteration = done
        self.stop_if_asked(_saved(done, path))

    def stop_if_asked(self, saved: str = "") -> None:
        """Raises `Stopped` with this sentence if this process or another worker is to stop."""
        if self._is_asked_to_stop():
            self._stop.raise_if_asked(saved)

    def _is_asked_to_stop(self) -> bool:
        """Whether a worker has received a signal. All workers stop after the same step."""
        asked = self._workers.agreed(self._stop.signal)
        if asked is None:  # a signal that has arrived meanwhile counts in the next step
            return False
        self._stop.answer(asked)
        return True

    def _save(self, done: int, epoch: dict[str, Any]) -> Path | None:
        """Writes a checkpoint and returns its path; None in a worker that is not the chief."""
        if not self._workers.is_chief:
            return None
        try:
            more: dict[str, Any] = {"epoch": epoch, "settings": self._settings}
            more["best"] = best_iteration(self.folder) if self._keep_best else None
            return save_checkpoint(self.model, self.folder, done, keep=self._keep, **more)
        except NotFiniteError as error:
            raise DivergedError(str(error), self._checked + 1, done) from error

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._start, 3)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            (self.folder / METRICS).unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[-1]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / METRICS, text.getvalue())


def _saved(done: int, path: Path | None) -> str:
    return f" Iteration {done} is saved in {path or 'the folder of the chief'}."


def training_minutes(folder: str | Path) -> float | None:
    """The duration of a run's outer steps, according to its `metrics.csv`.

    It is the sum over the epochs that led to the current weights, without pauses and repeated
    steps. None if the csv does not contain all of them, as after it was damaged.
    """
    if damaged_metrics(Path(folder)).exists():
        return None
    seconds = [row.get("seconds", math.nan) for row in read_metrics(folder)]
    total = sum(seconds) / 60
    return round(total, 2) if seconds and math.isfinite(total) else None
