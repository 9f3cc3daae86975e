"""From the words of a command line to its flags: by hand over files over presets over defaults."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from meta_tf import zoo
from meta_tf.command import registry
from meta_tf.command.define import Groups, flags_of
from meta_tf.command.flag_types import Range
from meta_tf.run.made_with import lines_of, told_by

_PRESETS = Path(__file__).resolve().parent / "presets"
_DEFAULT = {
    "sinusoid": "sinusoid_10shot",
    "hidden_teacher": "hidden_teacher",
    "omniglot": "omniglot_5way_1shot",
    "images": "images_5way_1shot",
    "table": "table",
}
_ALGORITHM = {"images": "protonet"}  # has no inner loop: the quickest to train
_FILE = "--flagfile"
_ACTS = {"download", "mirror", "cache", "cache_dir"}  # of a source: where to fetch from, and write


def read_flags(
    program: str, groups: Groups, words: Sequence[str], plain: Sequence[str] = ()
) -> flags.FlagValues:
    """The flags of a subcommand; `present` are those given by hand.

    What lies beneath them are their defaults: those of a file of flags go over those of a preset
    or, in an evaluation, of what the learner was trained on.

    Args:
      program: the subcommand, for errors, such as `meta-tf train`.
      groups: its flags.
      words: the words after it.
      plain: the flags that words without dashes stand for, in their order.

    Raises:
      ValueError: if a word is no flag, or a value is none of its flag.
    """
    files, words = _split(words)
    by_hand, others = _parsed(program, groups, words)
    if len(others) > len(plain):
        takes = f"{len(plain)} words and flags" if plain else "flags"
        word = others[len(plain)]
        raise ValueError(
            f"{program} takes only {takes}. Received: {word!r}. Write --{word}, or a value with = "
            "after its flag's name."
        )
    words += [f"--{name}={word}" for name, word in zip(plain, others, strict=False)]
    beneath = [by_hand]  # from the top
    for path in reversed(files):
        beneath.append(_of_file(program, groups, path))
        _check_allowed(path, beneath[-1], by_hand)
    if "preset" in by_hand:
        beneath += _preset(program, groups, beneath, has_files=bool(files))
    elif "task" in by_hand and (learner := _first(beneath, "learner")):
        beneath.append(_parsed(program, groups, trained_on(learner))[0])
        _check_allowed(f"the flags.txt of {learner}", beneath[-1], by_hand)
    values = flags_of(groups)
    for layer in reversed(beneath[1:]):
        for name in layer:
            if layer[name].present:
                values.set_default(name, layer[name].value)
    values([program, *words])
    return values


def trained_on(learner: str | Path) -> list[str]:
    """The flags of the tasks that a learner was trained on, as far as they are known.

    A shipped learner has them in the file beside it, but for the folder of the drawings; one of
    a run in the run's `flags.txt`. That may be somebody else's: it says where the data lie, and
    neither fetches nor writes any.
    """
    if learner in zoo.characters():
        about = json.loads((zoo.FOLDER / f"{learner}.json").read_text(encoding="utf-8"))
        pairs = [pair for pair in about["flags"].items() if pair[0] != "data_dir"]
    else:
        path = Path(learner).expanduser()
        path = (path if path.is_dir() else path.parent) / "flags.txt"
        pairs = told_by(lines_of(path, "the run's flags.txt")) if path.exists() else []
    wanted = {"seed", "task", "ways", "shots", "queries", *registry.flags_of("task")} - _ACTS
    return [f"--{name}={text}" for name, text in pairs if name in wanted or _is_data(name, text)]


def _is_data(name: str, text: str) -> bool:
    """Whether a `--set` is about the tasks, and about no more than reading them."""
    what, _, argument = text.partition("=")[0].rpartition(".")
    return name == "set" and what == "task" and argument not in _ACTS


def _check_allowed(file: str, values: flags.FlagValues, by_hand: flags.FlagValues) -> None:
    """Raises ValueError if a file asks for code from outside the package.

    Files are data: a task, model or algorithm of the form `module:Name` is imported only if the
    command line itself gives it, or names its module by `--import`.
    """
    if values["import"].present:
        raise ValueError(f"{file}: a file of flags cannot allow itself to --import a module.")
    for what in registry.BUILT_IN:
        name = str(values[what].value) if what in values else ""
        module, colon, _ = name.partition(":")
        if colon and not by_hand[what].present and module not in getattr(by_hand, "import"):
            raise ValueError(
                f"{file} asks for --{what}={name}, which is code from outside the package: a file "
                f"alone does not run any. If you trust that code, add --import={module}, or give "
                f"--{what} on the command line."
            )


def presets() -> list[str]:
    """The presets."""
    return sorted(path.stem for path in _PRESETS.glob("*.flags"))


def about_preset(name: str) -> str:
    """What a preset is: its first line."""
    return _path_of(name).read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files of flags in a command line, and its other words."""
    files, others = [], []
    remaining = iter(words)
    for word in remaining:
        if word == _FILE:
            files.append(next(remaining, ""))
        elif word.startswith(f"{_FILE}="):
            files.append(word.partition("=")[2])
        else:
            others.append(word)
    return files, others


def _parsed(
    program: str, groups: Groups, words: Sequence[str]
) -> tuple[flags.FlagValues, list[str]]:
    """The flags in these words, and the words that are none."""
    values = flags_of(groups)
    return values, values([program, *words])[1:]


def _of_file(program: str, groups: Groups, path: str | Path) -> flags.FlagValues:
    """The flags in a file of flags, which absl reads."""
    try:
        values, others = _parsed(program, groups, [f"{_FILE}={path}"])
    except (flags.Error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if others:
        raise ValueError(f"{path} must be a file of lines --name=value. Received: {others[0]!r}.")
    return values


def _preset(
    program: str, groups: Groups, given: Sequence[flags.FlagValues], has_files: bool
) -> list[flags.FlagValues]:
    """The flags of the preset that is named, or that suits what is given; with its name."""
    name, algorithm = _first(given, "preset"), _first(given, "algorithm")
    if name is None and has_files:  # a file has all that it needs
        return []
    name = name or _default_for(_first(given, "task") or "sinusoid", algorithm)
    if name is None:
        return []
    values = _of_file(program, groups, _path_of(name))
    for what in registry.BUILT_IN:
        if ":" in (_first(given, what) or ""):  # its own defaults suit it better than another's
            for flag in registry.flags_of(what):
                values[flag].unparse()
    for size in ("ways", "shots"):
        if isinstance(_first(given, size), Range):  # what to train on, and no preset's one number
            values[f"train_{size}"].unparse()
    values["preset"].parse(name)
    return [values]


def _first(layers: Sequence[flags.FlagValues], name: str) -> Any:
    """The value of a flag in the first layer that has it."""
    return next((layer[name].value for layer in layers if layer[name].present), None)


def _path_of(name: str) -> Path:
    """The file of a preset.

    Raises:
      ValueError: if there is none of that name.
    """
    if name not in presets():
        nearest = ", ".join(difflib.get_close_matches(name, presets(), n=5, cutoff=0))
        raise ValueError(
            f"--preset must be one that `meta-tf train --help` lists; the nearest are {nearest}. "
            f"Received: --preset={name}."
        )
    return _PRESETS / f"{name}.flags"


def _default_for(task: str, algorithm: str | None) -> str | None:
    """The preset of a task and an algorithm, or else of the task; without one the task's own."""
    name, algorithm = _DEFAULT.get(task), algorithm or _ALGORITHM.get(task, "")
    if name is None:  # a task from outside
        return None
    return f"{name}_{algorithm}" if f"{name}_{algorithm}" in presets() else name
