"""The flags of a command line, with those of its preset and its files of flags beneath them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_tf.runs import outside, preset_files
from meta_tf.runs.algorithm_flags import algorithm_flags
from meta_tf.runs.flags import SOURCE
from meta_tf.runs.kinds import Range
from meta_tf.runs.lines_of_flags import lines_of, told_by
from meta_tf.runs.parser import Parser

_ACTS = {"download", "mirror", "cache", "cache_dir"}  # of a source: where to fetch from, and write


def read_flags(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """All flags of a subcommand, as attributes.

    Beside them there are `words` themselves, `by_hand`, the names of the flags in them, and
    `given`, the names of all that do not have their default: one may be given as none.

    Later ones go over earlier ones: the defaults, the preset (or what a learner was trained
    on), the files of flags in their order, the words themselves, wherever they stand.
    """
    by_hand = parser.values_of(words)
    files: dict[str, Any] = {}
    for path in by_hand.get("flagfile", ()):
        values = parser.values_in(path)
        outside.check_allowed(path, values, by_hand)
        files.update(values)
    given = {**files, **by_hand}
    beneath: dict[str, Any] = {}
    if "preset" in parser.flags:
        beneath = _preset(parser, given)
    elif "task" in parser.flags and given.get("learner"):
        beneath = parser.values_of(trained_on(given["learner"]))
        outside.check_allowed(f"the flags.txt of {given['learner']}", beneath, by_hand)
    values = {**parser.defaults(), **beneath, **given}
    if values.get("rotations") == "auto":  # photographs have an up and a down
        values["rotations"] = "task" if values["task"] == "omniglot" else "none"
    return argparse.Namespace(**values, words=words, by_hand=set(by_hand), given={*beneath, *given})


def _preset(parser: Parser, given: dict[str, Any]) -> dict[str, Any]:
    """The flags of the preset that is named, or that fits what is given; with its name."""
    name = given.get("preset")
    if name is None and "flagfile" in given:  # it has all that it needs
        return {}
    algorithm = given.get("algorithm", "")
    name = name or preset_files.default_for(given.get("task", "sinusoid"), algorithm)
    if name is None:
        return {}
    values = parser.values_in(preset_files.path_of(name))
    if ":" in algorithm:  # from outside: it knows better what suits it than a preset for another
        values = {n: v for n, v in values.items() if n not in {f.name for f in algorithm_flags()}}
    for size in ("ways", "shots"):
        if isinstance(given.get(size), Range):  # what to train on, and not a preset's one number
            values.pop(f"train_{size}", None)
    return {"preset": name, **values}


def trained_on(learner: str) -> list[str]:
    """The flags, as words, of the tasks that a learner was trained on, as far as is known.

    A shipped learner has them in the file beside it, but for the folder of the drawings; one
    of a run in the run's `flags.txt`. That may be somebody else's: it says where the data lie,
    and neither fetches nor writes any.
    """
    told: dict[str, str] = {}
    if learner in preset_files.shipped():
        about = json.loads((preset_files.ZOO / f"{learner}.json").read_text(encoding="utf-8"))
        told = {name: text for name, text in about["flags"].items() if name != "data_dir"}
    else:
        path = Path(learner).expanduser()
        flags = (path if path.is_dir() else path.parent) / "flags.txt"
        if flags.exists():
            lines = lines_of(flags, "the run's flags.txt")
            told = {name: text for name, text in told_by(lines) if name != "set"}
            settings = (text for name, text in told_by(lines) if name == "set")
            return [*_words(told), *(f"--set={text}" for text in settings if _is_data(text))]
    return _words(told)


def _is_data(setting: str) -> bool:
    """Whether `--set` is about the tasks, and about no more than reading them."""
    what, _, argument = setting.partition("=")[0].rpartition(".")
    return what == "task" and argument not in _ACTS


def _words(told: dict[str, str]) -> list[str]:
    wanted = {"seed", *(flag.name for flag in SOURCE)} - _ACTS
    return [f"--{name}={text}" for name, text in told.items() if name in wanted]
