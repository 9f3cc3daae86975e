"""A run's checkpoints: written whole, checked before they are used, the older ones kept."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from meta_tf.files import make_folder, sync, whole_file

FOLDER = "checkpoints"
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


def _check_finite(learner: keras.Model) -> None:
    optimizer = getattr(learner, "optimizer", None)
    for variable in [*learner.variables, *(optimizer.variables if optimizer else ())]:
        value = keras.ops.convert_to_numpy(variable)
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise NotFiniteError(f"{variable.path} became nan or infinite")
