"""A run's `flags.txt`: all that it was made with, and whether a run that goes on is the same."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import meta_tf
from meta_tf.runs import run_folder
from meta_tf.runs.algorithm_flags import algorithm_flags, field_name
from meta_tf.runs.flags import train_groups
from meta_tf.runs.kinds import as_text
from meta_tf.runs.lines_of_flags import lines_of

# What may change when a run goes on: it has no say in what is learned.
FREE = {"data_dir", "download", "mirror", "workdir", "device", "iterations", "eval_tasks"}
FREE |= {"checkpoint_every", "steps_per_execution", "eval_steps"}
NOT_KEPT = ("preset", "flagfile", "profile", "set")


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


def text_of(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> str:
    """What to write: a file that `--flagfile` takes."""
    return "\n".join(f"--{n}={text}" for n, text in pairs_of(flags, algorithm)) + "\n"


def pairs_of(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> list[tuple[str, str]]:
    """The flags' names and texts, without those that are unset."""
    values = values_of(flags, algorithm).items()
    told = [(name, text) for name, (text, default) in values if {text, default} != {"none"}]
    return [*told, *(("set", text) for text in flags.set)]


def check_same_run(flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> None:
    """Raises ValueError if the folder holds a run of other settings.

    A flag that its file does not know had its default. One that has no meaning now is not
    looked at: the algorithm, the task or the model would differ too.
    """
    workdir = Path(flags.workdir)
    path = workdir / "flags.txt"
    if not path.exists() or not run_folder.read_metrics(workdir):  # nothing that would be lost
        return
    lines = lines_of(path, "the run's flags.txt")
    pairs = [tuple(line.lstrip("-").split("=", 1)) for line in lines if "=" in line]
    before = {name: text for name, text in pairs if name != "set"}
    before["set"] = ", ".join(sorted(text for name, text in pairs if name == "set"))
    free = set(FREE)
    if flags.meta_schedule != "constant":  # it ends with the last iteration
        free.remove("iterations")
    if flags.task not in ("omniglot", "sinusoid", "hidden_teacher"):  # other pictures
        free.remove("data_dir")
    now = {**values_of(flags, algorithm), "set": [", ".join(sorted(flags.set)), ""]}
    for name in sorted(now.keys() - free):
        new, default = now[name]
        old = before.get(name, default)
        if old != new:
            raise ValueError(
                f"--{name} is {old!r} in {path} and {new!r} now: that would be another run. "
                "Give another --workdir, or the same value."
            )
