"""Reads the flags of a command line, of files of flags, and of a preset."""

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
from meta_tf.command.made_with import NAME, pairs_in

_PRESETS = Path(__file__).resolve().parent / "presets"
_DEFAULT = {
    "sinusoid": "sinusoid_10shot",
    "hidden_teacher": "hidden_teacher",
    "omniglot": "omniglot_5way_1shot",
    "images": "images_5way_1shot",
    "table": "table",
}
_ALGORITHM = {"images": "protonet"}  # the fastest to train, without an inner loop
_FILE = "--flagfile"
_ACTS = {"download", "mirror", "cache", "cache_dir"}  # make a source download or write


def read_flags(
    program: str, groups: Groups, words: Sequence[str], plain: Sequence[str] = ()
) -> flags.FlagValues:
    """The flags of a subcommand. `present` marks those on the command line.

    Files of flags override the preset or, in an evaluation, the tasks that the learner was trained
    on. Flags that none of these contains have `using_default_value`.

    Args:
      program: the subcommand, for errors, such as `meta-tf train`.
      groups: its flags.
      words: the words after it.
      plain: the flags that words without dashes set, in this order.

    Raises:
      ValueError: if a word is not a flag, or a value is invalid.
    """
    files, words = _split(words)
    if "" in files:
        raise ValueError(f"{_FILE} must name a file of flags. Received: nothing.")
    by_hand, others = _parsed(groups, words)
    if len(others) > len(plain):
        takes = f"{len(plain)} words and flags" if plain else "flags"
        word = others[len(plain)]
        raise ValueError(
            f"{program} takes only {takes}. Received: {word!r}. Write --{word}, or a value with = "
            "after its flag's name."
        )
    by_hand([program, *(f"--{name}={word}" for name, word in zip(plain, others, strict=False))])
    layers = [by_hand]  # each overrides those after it
    for path in reversed(files):
        layers.append(_of_file(groups, path))
        _check_allowed(path, layers[-1], by_hand)
    if "preset" in by_hand:
        layers += _preset(groups, layers)
    elif "task" in by_hand and (learner := _first(layers, "learner")):
        layers.append(_parsed(groups, trained_on(learner))[0])
        _check_allowed(f"the flags.txt of {learner}", layers[-1], by_hand)
    sets = _sets(layers) if "set" in by_hand else []
    for layer in layers[1:]:
        for name in layer:
            if layer[name].present and by_hand[name].using_default_value:
                setattr(by_hand, name, layer[name].value)
    if "set" in by_hand:
        by_hand["set"].value = sets
    return by_hand


def _sets(layers: Sequence[flags.FlagValues]) -> list[str]:
    """Every `--set`, the lowest layer first, as the last one for an argument counts.

    Those for a component are left out if a higher layer chooses another one.
    """
    found = []
    for layer in reversed(layers):
        for text in layer.set:
            kind = text.partition("=")[0].rpartition(".")[0]
            known = kind in registry.BUILT_IN and kind in layer
            if not known or _first([layer], kind) in (None, _first(layers, kind)):
                found.append(text)
    return found


def trained_on(learner: str | Path) -> list[str]:
    """The flags of the tasks that a learner was trained on, as far as they are known.

    They come from the JSON file of a shipped learner, without the folder of the drawings, or from
    the `flags.txt` of a run. That file can be from someone else, so flags that download or write
    are left out.
    """
    if learner in zoo.characters():
        about = json.loads((zoo.FOLDER / f"{learner}.json").read_text(encoding="utf-8"))
        pairs = [pair for pair in about["flags"].items() if pair[0] != "data_dir"]
    else:
        path = Path(learner).expanduser()
        pairs = pairs_in((path if path.is_dir() else path.parent) / NAME)
    outside = any(name == "task" and ":" in text for name, text in pairs)
    wanted = {"seed", "task", *registry.component_flags("task")} - _ACTS
    return [
        f"--{name}={text}"
        for name, text in pairs
        if name in wanted or (name == "set" and _is_data(text, outside))
    ]


def _is_data(text: str, outside: bool) -> bool:
    """Whether a `--set` is an argument of the tasks that neither downloads nor writes.

    `outside`: whether the tasks are from outside the package, so that it may have no `task.`.
    """
    kind, _, argument = text.partition("=")[0].rpartition(".")
    return (kind == "task" or (outside and not kind)) and argument not in _ACTS


def _check_allowed(file: str, values: flags.FlagValues, by_hand: flags.FlagValues) -> None:
    """Raises ValueError if a file of flags would run code from outside the package.

    A task, model or algorithm of the form `module:Name` is imported only if the command line itself
    contains it, or its module in `--import`.
    """
    if values["import"].present:
        raise ValueError(
            f"{file} must not contain --import: only the command line allows code from outside."
        )
    for kind in registry.BUILT_IN:
        name = str(values[kind].value) if kind in values else ""
        module, colon, _ = name.partition(":")
        if colon and not by_hand[kind].present and module not in getattr(by_hand, "import"):
            raise ValueError(
                f"{file} contains --{kind}={name}, which is code from outside the package, and a "
                f"file alone must not run it. If you trust that code, add --import={module}, or "
                f"give --{kind} on the command line."
            )


def presets() -> list[str]:
    """The names of the presets."""
    return sorted(path.stem for path in _PRESETS.glob("*.flags"))


def about_preset(name: str) -> str:
    """The description of a preset, which is its first line."""
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


def _parsed(groups: Groups, words: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """The flags in these words, and the words that are not flags."""
    values = flags_of(groups)
    return values, values(["meta-tf", *words])[1:]


def _of_file(groups: Groups, path: str | Path) -> flags.FlagValues:
    """The flags in a file of flags."""
    try:
        values, others = _parsed(groups, [f"{_FILE}={path}"])
    except (flags.Error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if others:
        raise ValueError(f"{path} must be a file of lines --name=value. Received: {others[0]!r}.")
    return values


def _preset(groups: Groups, given: Sequence[flags.FlagValues]) -> list[flags.FlagValues]:
    """The flags of the given preset, or else of the preset for the task and the algorithm."""
    name, algorithm = _first(given, "preset"), _first(given, "algorithm")
    if name is None and len(given) > 1:  # a file of flags is complete without a preset
        return []
    name = name or _default_for(_first(given, "task") or "sinusoid", algorithm)
    if name is None:
        return []
    values = _of_file(groups, _path_of(name))
    for kind in registry.BUILT_IN:
        if ":" in (_first(given, kind) or ""):  # it has its own defaults
            for flag in registry.component_flags(kind):
                values[flag].unparse()
    for size in ("ways", "shots"):
        if isinstance(_first(given, size), Range):  # then the training tasks have this range too
            values[f"train_{size}"].unparse()
    values["preset"].parse(name)
    return [values]


def _first(layers: Sequence[flags.FlagValues], name: str) -> Any:
    """The value of a flag in the first layer that has it."""
    return next((layer[name].value for layer in layers if layer[name].present), None)


def _path_of(name: str) -> Path:
    """The file of a preset; raises ValueError if there is none with this name."""
    if name not in presets():
        nearest = ", ".join(difflib.get_close_matches(name, presets(), n=5, cutoff=0))
        raise ValueError(
            f"--preset must be one of those in `meta-tf train --help`; the nearest are {nearest}. "
            f"Received: --preset={name}."
        )
    return _PRESETS / f"{name}.flags"


def _default_for(task: str, algorithm: str | None) -> str | None:
    """The preset for a task and an algorithm, or else the one for the task."""
    name, algorithm = _DEFAULT.get(task), algorithm or _ALGORITHM.get(task, "")
    if name is None:  # a task from outside the package
        return None
    return f"{name}_{algorithm}" if f"{name}_{algorithm}" in presets() else name
