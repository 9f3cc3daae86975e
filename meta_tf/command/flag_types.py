"""Reads and writes values of flags: an absl parser for each annotation."""

from __future__ import annotations

import ast
import csv
import functools
import io
import math
import operator
import pathlib
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from absl import flags

from meta_tf.run.settings import Above, AtLeast
from meta_tf.tasks.size_range import SizeRange

NONE = "none"  # the text for None


class Range(NamedTuple):
    """A range of whole numbers, including both ends, from which every task draws."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def largest(size: int | Sequence[int] | None) -> int:
    """The number itself, or the last one of a range; 0 for None.

    Example:
      >>> largest(Range(2, 20)), largest(5), largest(None)
      (20, 5, 0)
    """
    return max(size) if isinstance(size, Sequence) else size or 0


class Integer(flags.IntegerParser):
    """Whole numbers in digits from 0 to 9; `int` also accepts `1_000` and other digits."""

    def convert(self, argument: int | str) -> int:
        if isinstance(argument, str) and not re.fullmatch("[+-]?[0-9]+", argument):
            raise ValueError(f"must be {self.syntactic_help}")
        return super().convert(argument)


class Number(flags.ArgumentParser):
    """Finite numbers above `above`."""

    def __init__(self, above: float = -math.inf):
        self._above = above
        more = f" above {above:g}" if above > -math.inf else ""
        self.syntactic_help = f"a finite number{more}"

    def parse(self, argument: str) -> float:
        try:
            value = float(argument)
        except ValueError:
            value = math.nan
        if not self._above < value < math.inf:
            raise ValueError(f"must be {self.syntactic_help}")
        return value


class Sizes(flags.ArgumentParser):
    """Whole numbers of `at_least` or more, or a range of them, `LOW-HIGH`.

    Example:
      >>> sizes = Sizes(1)
      >>> sizes.parse("1-10"), sizes.parse("5-5"), sizes.parse("5")
      (Range(first=1, last=10), 5, 5)
    """

    def __init__(self, at_least: int = 1):
        self._at_least = at_least
        self.syntactic_help = f"an integer of at least {at_least}, or a range such as 2-20"

    def parse(self, argument: str | int | Range) -> int | Range:
        found = re.fullmatch("([0-9]+)(?:-([0-9]+))?", str(argument))
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not self._at_least <= first <= last:
            raise ValueError(f"must be {self.syntactic_help}")
        return Range(first, last) if first < last else first


class Path(flags.ArgumentParser):
    """Paths that a file of flags can contain."""

    syntactic_help = "a path in UTF-8"

    def parse(self, argument: str) -> str:
        text = str(argument)
        if not text or "\0" in text or text.encode("utf-8", "ignore").decode() != text:
            raise ValueError(f"must be {self.syntactic_help}")
        return text


class Words(flags.ArgumentParser):
    """Words separated by commas or, with `widths`, whole numbers of at least 1.

    A word in quotation marks may contain commas, as in CSV files.
    """

    def __init__(self, widths: bool = False):
        self._word = "[1-9][0-9]*" if widths else r".*\S.*"
        self._as = int if widths else str
        self.syntactic_help = "widths such as 40,40" if widths else "words such as a,b"

    def parse(self, argument: str | Sequence[Any]) -> tuple[Any, ...]:
        words = list(map(str, argument))
        if isinstance(argument, str):
            line = " ".join(argument.splitlines())
            words = next(csv.reader([line], skipinitialspace=True))
        found = [word.strip() for word in words]
        if not all(re.fullmatch(self._word, word) for word in found):
            raise ValueError(f"must be {self.syntactic_help}")
        return tuple(self._as(word) for word in found)


class Name(flags.EnumParser):
    """A built-in name, or the `package.module:Name` of something from outside."""

    def __init__(self, *names: str):
        super().__init__(names)
        self.syntactic_help = f"<{'|'.join(names)}>, or package.module:Name"

    def parse(self, argument: str) -> str:
        if ":" not in argument and argument not in self.enum_values:
            raise ValueError(f"must be one of {self.syntactic_help}")
        return argument


class OrNone(flags.ArgumentParser):
    """The values of another parser, or `none`."""

    def __init__(self, parser: flags.ArgumentParser):
        self.inner = parser
        shown = parser.syntactic_help or parser.flag_type()
        if isinstance(parser, flags.EnumParser):
            shown = f"<{'|'.join(parser.enum_values)}>"
        self.syntactic_help = f"{shown}, or none"

    def parse(self, argument: Any) -> Any:
        try:
            value = None if argument == NONE else self.inner.parse(argument)
            return None if value == () else value
        except ValueError as error:
            raise ValueError(f"{error}, or none") from error


class AsText(flags.ArgumentSerializer):
    """Writes a value as its parser reads it."""

    def serialize(self, value: Any) -> str:
        return as_text(value)


_PARSERS: dict[Any, Callable[..., flags.ArgumentParser]] = {
    int: Integer,
    float: Number,
    bool: flags.BooleanParser,
    str: flags.ArgumentParser,
    SizeRange: Sizes,
    Sequence[int]: functools.partial(Words, widths=True),
    Sequence[str]: Words,
    str | tuple[str, ...]: Words,
}


def parser_for(annotation: Any) -> flags.ArgumentParser | None:
    """The parser for an annotation; None if text cannot express its values.

    Example:
      >>> parser_for(int | None).parse("none"), parser_for(Literal["sgd", "adam"]).parse("sgd")
      (None, 'sgd')
    """
    kind, options = typing.get_origin(annotation), typing.get_args(annotation)
    if kind is typing.Annotated:
        bounds = [option.value for option in options if isinstance(option, AtLeast | Above)]
        return _PARSERS[options[0]](*bounds) if bounds else parser_for(options[0])
    if annotation in _PARSERS:
        return _PARSERS[annotation]()
    if kind is Literal:
        return flags.EnumParser(options)
    if kind not in (typing.Union, types.UnionType):
        return None
    if type(None) in options:
        others = (option for option in options if option is not type(None))
        parser = parser_for(functools.reduce(operator.or_, others))
        return OrNone(parser) if parser else None
    if pathlib.Path in options:
        return Path()
    return Integer() if options[0] is int else None  # the other types are not for text


def takes_ranges(annotation: Any) -> bool:
    """Whether an annotation allows ranges of whole numbers."""
    parser = parser_for(annotation)
    return isinstance(parser.inner if isinstance(parser, OrNone) else parser, Sizes)


def literal(text: str) -> Any:
    """The value of a Python literal; other text unchanged."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def as_text(value: Any) -> str:
    """The text of a value after `--name=`."""
    if value is None:
        return NONE
    if isinstance(value, Range):
        return str(value)
    if not isinstance(value, list | tuple):
        return str(value)
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(value)
    return line.getvalue()
