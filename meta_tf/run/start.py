"""Where a run starts: at its newest whole checkpoint, at one that is asked for, or anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from meta_tf.evaluation.metrics_csv import METRICS, read_metrics
from meta_tf.files import sync
from meta_tf.run.checkpoints import (
    FOLDER,
    Checkpoint,
    damage,
    find_checkpoints,
    misnamed,
    run_of,
    set_aside,
)
from meta_tf.run.settings import Training

RESULTS, LEARNER = "results.json", "learner.keras"


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
