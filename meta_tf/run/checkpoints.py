"""A run's checkpoints: written atomically, checked before use, the oldest ones removed."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from meta_tf.evaluation.metrics_csv import METRICS, read_metrics
from meta_tf.files import sync, whole_file
from meta_tf.run.settings import Training

FOLDER = "checkpoints"
RESULTS, LEARNER, EXPORT = "results.json", "learner.keras", "saved_model"
_EPOCH, _RUN = "meta_tf_epoch.json", "meta_tf_run.json"  # additional files in Keras's archive
_NEEDED = {"config.json", "metadata.json", "model.weights.h5"}


class Checkpoint(NamedTuple):
    """The file of a checkpoint, and its number of outer steps."""

    path: Path
    iteration: int


class NotFiniteError(ValueError):
    """A learner is not saved, because a weight is nan or infinite."""


def save_checkpoint(
    learner: keras.Model,
    folder: str | Path,
    iteration: int,
    *,
    keep: int = 2,
    best: int | None = None,
    epoch: dict[str, Any] | None = None,
    settings: dict[str, str] | None = None,
) -> Path:
    """Writes the learner as the newest checkpoint, and then removes the oldest ones.

    It is a `.keras` file: an archive with a CRC-32 for each part, by which `damage` detects
    changes on the disk.

    Args:
      learner: the learner to save.
      folder: the run's folder.
      iteration: the number of outer steps of the learner.
      keep: the number of checkpoints to keep, including this one.
      best: the iteration of another checkpoint to keep.
      epoch: the state of the epoch; see `epoch_of`.
      settings: what the run was made with; see `run_of`.

    Returns:
      The file.

    Raises:
      NotFiniteError: if a weight, or a number of the optimiser, is nan or infinite.
    """
    _check_finite(learner)
    path = Path(folder) / FOLDER / f"{iteration:08d}.keras"
    more = {} if epoch is None else {_EPOCH: epoch}
    _save(learner, path, {**more, _RUN: {"iteration": iteration, "settings": settings or {}}})
    for old in find_checkpoints(folder)[keep:]:
        if old.iteration != best:
            old.path.unlink()
    return path


def save_learner(
    learner: keras.Model, path: str | Path, iteration: int, settings: dict[str, str]
) -> None:
    """Saves a run's learner atomically, with what `run_of` returns."""
    _save(learner, path, {_RUN: {"iteration": iteration, "settings": settings}})


def _save(learner: keras.Model, path: str | Path, more: dict[str, Any]) -> None:
    with whole_file(path) as part:
        learner.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            for name, content in more.items():
                archive.writestr(name, json.dumps(content))


def find_checkpoints(folder: str | Path) -> list[Checkpoint]:
    """The files of a run's checkpoints, newest first; they can be damaged."""
    paths = (Path(folder) / FOLDER).glob("[0-9]*.keras")
    found = [Checkpoint(path, int(path.stem)) for path in paths if path.stem.isdecimal()]
    return sorted(found, key=lambda checkpoint: -checkpoint.iteration)


def latest_checkpoint(folder: str | Path) -> tuple[Path | None, int]:
    """The newest undamaged checkpoint and its number of steps; `(None, 0)` if there is none."""
    whole = (checkpoint for checkpoint in find_checkpoints(folder) if not damage(checkpoint))
    return next(whole, (None, 0))


def best_iteration(folder: str | Path) -> int | None:
    """The iteration of the epoch with the lowest validation loss; None before the first one."""
    rows = [row for row in _rows_of(Path(folder)) if "val_loss" in row]
    return int(min(rows, key=lambda row: row["val_loss"])["iteration"]) if rows else None


def checkpoint_to_use(training: Training) -> Checkpoint:
    """The checkpoint that a training results in: the last or, with `restore_best`, the best one."""
    whole = [found for found in find_checkpoints(training.workdir) if not damage(found)]
    best = best_iteration(training.workdir) if training.restore_best else None
    return next((found for found in whole if found.iteration == best), whole[0])


def damage(checkpoint: Checkpoint) -> str:
    """What is wrong with the file of a checkpoint, in a few words; empty if nothing is."""
    path, iteration = checkpoint
    if not path.exists():
        return "it is missing"
    if not path.stat().st_size:
        return "it is empty"
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
            missing = sorted(_NEEDED - set(archive.namelist()))
    except Exception as error:  # zipfile raises many kinds of errors for damaged files
        return f"it cannot be read: {error or type(error).__name__}"
    if wrong:
        return f"the checksum of {wrong} in it is wrong"
    if missing:
        return f"it lacks {', '.join(missing)}"
    saved = run_of(path).get("iteration", iteration)
    return "" if saved == iteration else f"it was saved at iteration {saved}"


def run_of(path: str | Path) -> dict[str, Any]:
    """The `iteration` that a file was saved at, and the `settings` of its run by name.

    Empty for files of earlier versions, and for files that no run has written.
    """
    try:
        return _read(path, _RUN)
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}


def epoch_of(path: str | Path) -> dict[str, Any]:
    """What a checkpoint stores about the epoch that it was saved in; empty in earlier versions.

    At the end of an epoch, this is its `row` of `metrics.csv`, which is written after the
    checkpoint. Within an epoch, it is its duration so far (`seconds`) and the variables of Keras's
    `metrics`, so that its row becomes the same as without interruption.
    """
    return _read(path, _EPOCH)


def _read(path: str | Path, name: str) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(name)) if name in archive.namelist() else {}


def find_start(
    training: Training, wrong_with: Callable[[Checkpoint], str] = damage
) -> Checkpoint | None:
    """The checkpoint to resume from; None for a new run. Changes nothing in the folder.

    If it uses an older checkpoint because a newer one is damaged or missing, it prints a line.

    Args:
      training: how the training runs.
      wrong_with: returns what is wrong with a checkpoint; empty if nothing is.

    Raises:
      ValueError: if there are checkpoints or metrics, but no usable checkpoint.
    """
    workdir = Path(training.workdir)
    if training.restart:
        return None
    found = find_checkpoints(workdir)
    if training.restart_from is not None:
        return _requested(training.restart_from, found, workdir, wrong_with)
    last = max((int(row["iteration"]) for row in _rows_of(workdir)), default=0)
    wrong: list[str] = []
    for checkpoint in found:
        if what := wrong_with(checkpoint):
            wrong.append(f"{checkpoint.path}: {what}")
            continue
        if wrong:
            print(f"Not usable, and renamed to *.damaged: {'; '.join(wrong)}.", flush=True)
        elif last > checkpoint.iteration:
            print(
                f"{METRICS} contains {last} iterations, but the last checkpoint is of iteration "
                f"{checkpoint.iteration}: the steps after it are repeated.",
                flush=True,
            )
        return checkpoint
    if not wrong and not last:
        return None
    why = "; ".join(wrong) or f"{workdir / FOLDER} is empty, but {METRICS} has {last} iterations"
    raise ValueError(
        f"no checkpoint in {workdir} can be used ({why}). Restore one from a copy, start again "
        "from step 0 with --restart, which removes them, or give another --workdir."
    )


def clear_way(training: Training, start: Checkpoint | None) -> None:
    """Removes what the run does not resume from, just before the run changes the folder.

    Damaged checkpoints are renamed; those that `restart` or `restart_from` skip are deleted, and
    what the run had resulted in, so that nobody takes the old learner for the new one.
    """
    workdir = Path(training.workdir)
    if training.restart:
        shutil.rmtree(workdir / FOLDER, ignore_errors=True)
        for path in (workdir / METRICS, damaged_metrics(workdir)):
            path.unlink(missing_ok=True)
    elif start:
        for checkpoint in find_checkpoints(workdir):
            if checkpoint.iteration <= start.iteration:
                break
            if training.restart_from is not None:
                checkpoint.path.unlink()
            else:  # it must neither count nor be overwritten
                checkpoint.path.replace(f"{checkpoint.path}.damaged")
        sync(start.path.parent)
    try:
        read_metrics(workdir)
    except ValueError:
        aside = damaged_metrics(workdir)
        (workdir / METRICS).replace(aside)
        print(f"{workdir / METRICS} is damaged; it is kept as {aside.name}.", flush=True)
    if training.restart or training.restart_from is not None:
        shutil.rmtree(workdir / EXPORT, ignore_errors=True)
        for name in (LEARNER, RESULTS):
            (workdir / name).unlink(missing_ok=True)
        sync(workdir)


def check_replaceable(workdir: Path) -> None:
    """Raises ValueError if a run would replace a learner that no run has written.

    A learner of an earlier version does not store its origin, but is older than the results.
    """
    path, results = workdir / LEARNER, workdir / RESULTS
    if not path.exists() or run_of(path):
        return
    if not results.exists() or path.stat().st_mtime_ns > results.stat().st_mtime_ns:
        raise ValueError(
            f"the run would replace {path} at its end, which no run has written. Move that file, "
            "or give another --workdir."
        )


def damaged_metrics(workdir: Path) -> Path:
    """The new name of a damaged `metrics.csv`."""
    return workdir / f"{METRICS}.damaged"


def _rows_of(workdir: Path) -> list[dict[str, float]]:
    """The rows of `metrics.csv`; none if it is damaged."""
    try:
        return read_metrics(workdir)
    except ValueError:
        return []


def _requested(
    iteration: int,
    found: list[Checkpoint],
    workdir: Path,
    wrong_with: Callable[[Checkpoint], str],
) -> Checkpoint:
    """The checkpoint of `--restart_from`."""
    why = ""
    for checkpoint in found:
        if checkpoint.iteration == iteration:
            if not (what := wrong_with(checkpoint)):
                return checkpoint
            why = f", whose file cannot be used: {what}"
    there = ", ".join(str(c.iteration) for c in reversed(found) if not damage(c)) or "none"
    raise ValueError(
        f"--restart_from must be the iteration of a checkpoint in {workdir}: {there}. "
        f"Received: --restart_from={iteration}{why}. --keep_checkpoints sets how many are kept."
    )


def _check_finite(learner: keras.Model) -> None:
    optimizer = getattr(learner, "optimizer", None)
    for variable in [*learner.variables, *(optimizer.variables if optimizer else ())]:
        value = keras.ops.convert_to_numpy(variable)
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise NotFiniteError(f"{variable.path} became nan or infinite")
