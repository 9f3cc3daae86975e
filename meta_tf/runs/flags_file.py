"""A run's `flags.txt`: all that it was made with, and whether a run that goes on is the same."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

import meta_tf
from meta_tf.evaluation.metrics_csv import METRICS
from meta_tf.runs.algorithm_flags import algorithm_flags, field_name
from meta_tf.runs.checkpoints import find_checkpoints
from meta_tf.runs.flags import train_groups
from meta_tf.runs.kinds import as_text
from meta_tf.runs.lines_of_flags import lines_of, told_by

# What may change when a run goes on: it has no say in what is learned.
FREE = {"data_dir", "download", "mirror", "workdir", "device", "iterations", "eval_tasks"}
FREE |= {"checkpoint_every", "keep_checkpoints", "steps_per_execution", "eval_steps"}
FREE |= {"strategy", "logical_devices", "worker_timeout"}
# What may change besides with --restart_from.
RATES = {"inner_lr", "meta_lr", "clip_norm"}
NOT_KEPT = ("preset", "flagfile", "import", "profile", "set", "restart", "restart_from")
HISTORY = re.compile(r"# Until iteration (\d+): ")


def values_of(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> dict[str, list[str]]:
    """The text of every flag that has a meaning, and that of its default, by name.

    The algorithm's are what it was built with, so that nothing depends on today's defaults.
    """
    of_algorithm = {flag.name for flag in algorithm_flags()}
    defaults = {field.name: field.default for field in dataclasses.fields(algorithm)}
    found: dict[str, list[str]] = {}
    for flag in (flag for group in train_groups().values() for flag in group):
        if flag.name in NOT_KEPT or flag.name in flags.without_meaning:
            continue
        pair = getattr(flags, flag.name), flag.default
        if flag.name in of_algorithm:
            field = field_name(flag.name)
            pair = getattr(algorithm, field), defaults[field]
        found[flag.name] = [as_text(value) for value in pair]
    return found


def text_of(flags: argparse.Namespace, algorithm: meta_tf.Algorithm, restarts: bool = False) -> str:
    """What to write: a file that `--flagfile` takes.

    With `restarts` it tells, as a comment, which rates were used until `--restart_from`.
    """
    path = Path(flags.workdir) / "flags.txt"
    history = [] if flags.restart else [line for line in _lines(path) if HISTORY.match(line)]
    if restarts:
        old = [f"--{name}={text}" for name, text in told_by(_lines(path)) if name in RATES]
        history.append(f"# Until iteration {flags.restart_from}: {' '.join(old)}")
    now = [f"--{name}={text}" for name, text in pairs_of(flags, algorithm)]
    return "\n".join([*history, *now]) + "\n"


def pairs_of(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> list[tuple[str, str]]:
    """The flags' names and texts, without those that are unset."""
    values = values_of(flags, algorithm).items()
    told = [(name, text) for name, (text, default) in values if {text, default} != {"none"}]
    return [*told, *(("set", text) for text in flags.set)]


def check_same_run(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> None:
    """Raises ValueError if the folder holds a run of other settings.

    Not with `--restart`; with `--restart_from` the rates may be others.
    """
    free = RATES if flags.restart_from is not None else set()
    changed = None if flags.restart else _changed(flags, algorithm, free)
    if changed is not None:
        name, old, new = changed
        rates = ", or go on from an earlier checkpoint: --restart_from" * (name in RATES)
        raise ValueError(
            f"--{name} is {old!r} in {Path(flags.workdir) / 'flags.txt'} and {new!r} now: that "
            f"would be another run. Give another --workdir, or the same value{rates}."
        )


def restarts(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> bool:
    """Whether `--restart_from` is still to be obeyed.

    An interrupted run goes on with the same command, where that has been done already: the
    file tells of it, and of the same rates.
    """
    if flags.restart_from is None or flags.restart:
        return False
    told = [HISTORY.match(line) for line in _lines(Path(flags.workdir) / "flags.txt")]
    last = [int(match[1]) for match in told if match][-1:]
    inner = _changed(flags, algorithm, RATES - {"inner_lr"})
    if inner and algorithm.with_rate(1.0) is None:
        raise ValueError(
            f"--inner_lr is learned here: what it is at first ({inner[1]}) has no say after the "
            f"first step. Received: --inner_lr={inner[2]} with --restart_from. Change --meta_lr "
            "or --clip_norm instead."
        )
    return last != [flags.restart_from] or _changed(flags, algorithm, set()) is not None


def settings_of(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> dict[str, str]:
    """The text of every flag that has a meaning, by name: what a run's files keep of it."""
    texts = {name: text for name, (text, _) in values_of(flags, algorithm).items()}
    return {**texts, "set": _all_set(flags.set)}


def of_another_run(
    settings: dict[str, str], flags: argparse.Namespace, algorithm: meta_tf.Algorithm
) -> str:
    """Why a file with these settings is none of this run's, in words; empty if it may be."""
    changed = settings and _difference(settings, flags, algorithm, RATES)
    if not changed:
        return ""
    name, old, new = changed
    return f"it is of another run, with --{name}={old}, and not {new}"


def _changed(
    flags: argparse.Namespace, algorithm: meta_tf.Algorithm, free: set[str]
) -> tuple[str, str, str] | None:
    """The first flag that differs from the run in the folder, as it was and as it is."""
    workdir = Path(flags.workdir)
    if not ((workdir / METRICS).exists() or find_checkpoints(workdir)):  # nothing would be lost
        return None
    path = workdir / "flags.txt"
    if not path.exists():
        return None
    pairs = told_by(lines_of(path, "the run's flags.txt"))
    before = {name: text for name, text in pairs if name != "set"}
    before["set"] = _all_set(text for name, text in pairs if name == "set")
    return _difference(before, flags, algorithm, free)


def _difference(
    before: dict[str, str],
    flags: argparse.Namespace,
    algorithm: meta_tf.Algorithm,
    free: set[str],
) -> tuple[str, str, str] | None:
    """The first flag that differs from what it was before, as it was and as it is.

    One that was not known then had its default. One that has no meaning now is not looked at: the
    algorithm, the task or the model would differ too.
    """
    free = FREE | free
    if flags.meta_schedule != "constant":  # it ends with the last iteration
        free.remove("iterations")
    if flags.task not in ("omniglot", "sinusoid", "hidden_teacher"):  # other pictures
        free.remove("data_dir")
    now = {**values_of(flags, algorithm), "set": [_all_set(flags.set), ""]}
    for name in sorted(now.keys() - free):
        new, default = now[name]
        old = before.get(name, default)
        if old != new:
            return name, old, new
    return None


def _all_set(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts))


def _lines(path: Path) -> list[str]:
    # With its comments, and as far as it can be read: `_changed` names what cannot.
    return path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
