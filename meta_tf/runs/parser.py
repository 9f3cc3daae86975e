"""From the words of a command line, and from files of flags, to values; and the help."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from meta_tf.runs.flag import Flag
from meta_tf.runs.flags import Groups
from meta_tf.runs.kinds import Kind, as_text
from meta_tf.runs.lines_of_flags import lines_of


class Parser(argparse.ArgumentParser):
    """Reads the flags of one subcommand; every error is a ValueError of one sentence.

    Args:
      program: the subcommand, such as `meta-tf train`.
      about: what it does, for the help.
      groups: its flags, by what they are for.
      after: what the help says last.
      words: the names of flags that words without dashes may stand for, in their order.
    """

    def __init__(
        self,
        program: str,
        about: str,
        groups: Groups,
        after: str = "",
        words: Sequence[str] = (),
    ):
        usage = " ".join([program, *(f"[{word.upper()}]" for word in words), "[--flag=value ...]"])
        super().__init__(
            program,
            usage,
            about,
            after,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.flags = _by_name(groups)
        self.words = words
        for title, flags in groups.items():
            group = self.add_argument_group(title)
            for flag in flags:
                _add(group, flag)

    def values_of(self, words: Sequence[str]) -> dict[str, Any]:
        """The values of the flags that are given in these words, by name."""
        found, others = self.parse_known_args(list(words))
        plain = [word for word in others if not word.startswith("-")]
        if unknown := [word for word in others if word.startswith("-")]:
            raise ValueError(f"there is no flag {unknown[0]}. `{self.prog} --help` tells them all.")
        if len(plain) > len(self.words):
            word = plain[len(self.words)]
            own = f"{len(self.words)} words and flags" if self.words else "flags"
            raise ValueError(
                f"{self.prog} takes {own} alone. Received: {word!r}. Write --{word}, or a value "
                "with = after its flag's name."
            )
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in vars(found).items()}
        return {**dict(zip(self.words, plain, strict=False)), **values}

    def values_in(self, path: str | Path) -> dict[str, Any]:
        """The values of the flags in a file of flags."""
        lines = lines_of(path, "--flagfile")
        try:
            values = self.values_of(lines)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if "flagfile" in values:
            raise ValueError(f"{path}: a file of flags cannot name another by --flagfile.")
        if "import" in values:
            raise ValueError(f"{path}: a file of flags cannot allow itself to --import a module.")
        return values

    def defaults(self) -> dict[str, Any]:
        """The default of every flag."""
        return {name: flag.default for name, flag in self.flags.items()}

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print with its usage."""
        raise ValueError(re.sub(r"^argument (\S+?)(/\S+)?: ", r"\1 ", message))


def _by_name(groups: Groups) -> dict[str, Flag]:
    """The flags by name, which has to be one flag's alone."""
    found: dict[str, tuple[str, Flag]] = {}
    for title, flags in groups.items():
        for flag in flags:
            if flag.name in found:
                raise ValueError(
                    f"the flag --{flag.name} stands in two groups, {found[flag.name][0]!r} and "
                    f"{title!r}. If it is the field of an algorithm's dataclass, rename the field, "
                    "or give it a flag of another name in RENAMED of "
                    "meta_tf/runs/algorithm_flags.py."
                )
            found[flag.name] = (title, flag)
    return {name: flag for name, (_, flag) in found.items()}


def _add(group: Any, flag: Flag) -> None:
    """Adds a flag; a switch has a second, hidden one that turns it off."""
    told = flag.help.replace("%", "%%")
    if flag.default not in (None, False, ()) and "Default" not in told:
        told += f" Default: {as_text(flag.default)}."
    options: dict[str, Any] = {"type": _reader(flag.kind), "metavar": flag.kind.shown, "help": told}
    if flag.repeated:
        options["action"] = "append"
    if flag.kind.is_switch:
        options.update(nargs="?", const=True, metavar="True|False")
        off = {"action": "store_const", "const": False, "help": argparse.SUPPRESS}
        group.add_argument(f"--no{flag.name}", dest=flag.name, **off)
    group.add_argument(f"--{flag.name}", dest=flag.name, **options)


def _reader(kind: Kind) -> Callable[[str], Any]:
    """The kind's `read`, whose errors say what was expected."""

    def read(text: str) -> Any:
        try:
            return kind.read(text)
        except (ValueError, KeyError):
            message = f"must be {kind.expected}. Received: {text!r}."
            raise argparse.ArgumentTypeError(message) from None

    return read
