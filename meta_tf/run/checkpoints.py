"""A run's checkpoints: written whole, checked before one is gone on from, the older ones kept."""

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
from meta_tf.files import make_folder, sync, whole_file
from meta_tf.run.settings import Training

FOLDER = "checkpoints"
RESULTS, LEARNER = "results.json", "learner.keras"
_EPOCH, _RUN = "meta_tf_epoch.json", "meta_tf_run.json"  # beside Keras's own parts of the archive
_NEEDED = {"config.json", "metadata.json", "model.weights.h5"}


class Checkpoint(NamedTuple):
    """The file of a checkpoint, and how many outer steps had been made."""

    path: Path
    iteration: int


class NotFiniteError(ValueError):
    """What is not to be saved, since a weight is nan or infinite."""


def save_checkpoint(
    learner: keras.Model,
    folder: str | Path,
    iteration: int,
    *,
    keep: int = 2,
    epoch: dict[str, Any] | None = None,
    settings: dict[str, str] | None = None,
) -> Path:
    """Writes the learner as the run's newest checkpoint, and drops the oldest ones.

    The new one is on the disk before an older one goes. It is a `.keras` file: an archive
    whose every part has its CRC-32, by which `damage` finds what has changed on the disk.

    Args:
      learner: what to save.
      folder: the run's folder.
      iteration: how many outer steps it has made.
      keep: how many checkpoints stay, with this one.
      epoch: what is known of the epoch, see `epoch_of`.
      settings: what the run was made with, see `run_of`.

    Returns:
      The file.

    Raises:
      NotFiniteError: if a weight, or a number of the optimiser, is nan or infinite.
    """
    _check_finite(learner)
    path = Path(folder) / FOLDER / f"{iteration:08d}.keras"
    make_folder(path.parent)
    more = {} if epoch is None else {_EPOCH: epoch}
    _save(learner, path, {**more, _RUN: {"iteration": iteration, "settings": settings or {}}})
    for old in find_checkpoints(folder)[keep:]:
        old.path.unlink()
    return path


def save_learner(
    learner: keras.Model, path: str | Path, iteration: int, settings: dict[str, str]
) -> None:
    """Saves a run's learner, with what `run_of` tells, to a file that is never half written."""
    _save(learner, path, {_RUN: {"iteration": iteration, "settings": settings}})


def _save(learner: keras.Model, path: str | Path, more: dict[str, Any]) -> None:
    with whole_file(path) as part:
        learner.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            for name, content in more.items():
                archive.writestr(name, json.dumps(content))


def find_checkpoints(folder: str | Path) -> list[Checkpoint]:
    """The run's checkpoints as they stand there, the newest first."""
    paths = (Path(folder) / FOLDER).glob("[0-9]*.keras")
    found = [Checkpoint(path, int(path.stem)) for path in paths if path.stem.isdecimal()]
    return sorted(found, key=lambda checkpoint: -checkpoint.iteration)


def latest_checkpoint(folder: str | Path) -> tuple[Path | None, int]:
    """The newest checkpoint that is whole and its outer steps; `(None, 0)` if there is none."""
    whole = (checkpoint for checkpoint in find_checkpoints(folder) if not damage(checkpoint.path))
    return next(whole, (None, 0))


def damage(path: str | Path) -> str:
    """What is wrong with the file of a checkpoint, in a few words; empty if it is whole."""
    if not Path(path).exists():
        return "it is missing"
    if not Path(path).stat().st_size:
        return "it is empty"
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
            missing = sorted(_NEEDED - set(archive.namelist()))
    except Exception as error:  # whatever zipfile stumbles over, it does not say beforehand
        return f"it cannot be read: {error or type(error).__name__}"
    if wrong:
        return f"the checksum of {wrong} in it is wrong"
    return f"it lacks {', '.join(missing)}" if missing else ""


def run_of(path: str | Path) -> dict[str, Any]:
    """Whose file it is: the `iteration` that it was saved at, and the run's `settings` by name.

    Empty for the file of an earlier version, and for one that no run has made.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_RUN)) if _RUN in archive.namelist() else {}
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}


def misnamed(checkpoint: Checkpoint) -> str:
    """What is wrong with a checkpoint's number, in a few words; empty if nothing is."""
    saved = run_of(checkpoint.path).get("iteration", checkpoint.iteration)
    return "" if saved == checkpoint.iteration else f"it was saved at iteration {saved}"


def epoch_of(path: str | Path) -> dict[str, Any]:
    """What a checkpoint knows of the epoch that it was saved in; nothing for an earlier one.

    At the end of the epoch that is its `row` of `metrics.csv`, which is written after the
    checkpoint. In its middle it is the `seconds` that it has taken so far and the variables of
    Keras's `metrics`: with them its row becomes that of an uninterrupted run.
    """
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(_EPOCH)) if _EPOCH in archive.namelist() else {}


def set_aside(checkpoint: Checkpoint) -> Path:
    """Renames a damaged checkpoint, so that it is neither counted nor overwritten."""
    path = checkpoint.path.with_name(f"{checkpoint.path.name}.damaged")
    checkpoint.path.replace(path)
    sync(path.parent)
    return path


def wrong_with(checkpoint: Checkpoint) -> str:
    """What is wrong with a checkpoint, as far as its file alone tells; empty if nothing is."""
    return damage(checkpoint.path) or misnamed(checkpoint)


def find_start(
    training: Training,
    restarts: bool,
    wrong_with: Callable[[Checkpoint], str] = wrong_with,
) -> Checkpoint | None:
    """The checkpoint to go on from; None for a run that begins. Changes nothing in the folder.

    Says in a line what is damaged or missing, where an older checkpoint takes its place.

    Args:
      training: how the training runs.
      restarts: whether `--restart_from` is still to be obeyed, and not by an earlier call.
      wrong_with: says what is wrong with a checkpoint; empty if nothing is.

    Raises:
      ValueError: if there is something to go on from, but nothing that is whole.
    """
    workdir = Path(training.workdir)
    if training.restart:
        return None
    found = find_checkpoints(workdir)
    if restarts and training.restart_from is not None:
        return _asked_for(training.restart_from, found, workdir, wrong_with)
    wrong = {}
    for checkpoint in found:
        wrong[checkpoint.path] = wrong_with(checkpoint)
        if not wrong[checkpoint.path]:
            _tell(workdir, wrong, checkpoint.iteration)
            return checkpoint
    rows = rows_of(workdir)
    if not wrong and not rows:
        return None
    seen = "; ".join(f"{path}: {what}" for path, what in wrong.items())
    told = seen or f"{workdir / FOLDER} holds none, but {METRICS} tells of {_last(rows)} iterations"
    raise ValueError(
        f"no checkpoint in {workdir} can be used ({told}). Bring one back from a copy, begin "
        "again from step 0 with --restart, which removes them, or give another --workdir."
    )


def clear_way(training: Training, start: Checkpoint | None, restarts: bool) -> None:
    """Removes what the run is not to go on from: the last thing before it is changed.

    Damaged checkpoints are kept under another name; those that `--restart` or `--restart_from`
    leave behind are deleted.
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
            if restarts:
                checkpoint.path.unlink()
            else:
                set_aside(checkpoint)
        sync(start.path.parent)
    _set_aside_metrics(workdir)
    if training.restart or restarts:
        (workdir / RESULTS).unlink(missing_ok=True)
        sync(workdir)


def check_replaceable(workdir: Path) -> None:
    """Raises ValueError if a run would replace a learner that no run has made.

    One of an earlier version does not say who made it: it is older than the run's results.
    """
    path, results = workdir / LEARNER, workdir / RESULTS
    if not path.exists() or run_of(path):
        return
    if not results.exists() or path.stat().st_mtime_ns > results.stat().st_mtime_ns:
        raise ValueError(
            f"{path} would be replaced at the end of the run, and no run has made it. Move it, or "
            "give another --workdir."
        )


def rows_of(workdir: Path) -> list[dict[str, float]]:
    """The rows of `metrics.csv`; none if it is damaged."""
    try:
        return read_metrics(workdir)
    except ValueError:
        return []


def damaged_metrics(workdir: Path) -> Path:
    """What a damaged `metrics.csv` becomes."""
    return workdir / f"{METRICS}.damaged"


def _set_aside_metrics(workdir: Path) -> None:
    try:
        read_metrics(workdir)
    except ValueError:
        aside = damaged_metrics(workdir)
        (workdir / METRICS).replace(aside)
        print(f"{workdir / METRICS} is damaged: it is kept as {aside.name}.", flush=True)


def _asked_for(
    iteration: int,
    found: list[Checkpoint],
    workdir: Path,
    wrong_with: Callable[[Checkpoint], str],
) -> Checkpoint:
    """The checkpoint of this number of steps."""
    why = ""
    for checkpoint in found:
        if checkpoint.iteration == iteration:
            if not (what := wrong_with(checkpoint)):
                return checkpoint
            why = f", whose file cannot be used: {what}"
    there = ", ".join(str(c.iteration) for c in reversed(found) if not damage(c.path)) or "none"
    raise ValueError(
        f"--restart_from must be the iteration of a checkpoint in {workdir}: {there}. "
        f"Received: --restart_from={iteration}{why}. --keep_checkpoints says how many are kept."
    )


def _tell(workdir: Path, wrong: dict[Path, str], iteration: int) -> None:
    """Says what is lost, if anything is."""
    lost = [f"{path}: {what}" for path, what in wrong.items() if what]
    last = _last(rows_of(workdir))
    if lost:
        print(f"Cannot be gone on from, and kept as *.damaged: {'; '.join(lost)}.", flush=True)
    elif last > iteration:
        print(
            f"{METRICS} tells of {last} iterations, but there is no checkpoint of more than "
            f"{iteration}: the steps after that are made again.",
            flush=True,
        )


def _last(rows: list[dict[str, float]]) -> int:
    return max((int(row["iteration"]) for row in rows), default=0)


def _check_finite(learner: keras.Model) -> None:
    optimizer = getattr(learner, "optimizer", None)
    for variable in [*learner.variables, *(optimizer.variables if optimizer else ())]:
        value = keras.ops.convert_to_numpy(variable)
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise NotFiniteError(f"{variable.path} became nan or infinite")
