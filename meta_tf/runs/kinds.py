"""Kinds of flags: how a flag's text becomes a value, and a value its text."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a flag takes.

    Args:
      shown: what stands for the value in the help, such as `N`.
      expected: the same in words, for errors: "an integer".
      read: the value of a text; it raises ValueError if the text is none of its kind.
      is_switch: whether `--name` alone means True, and `--noname` False.
    """

    shown: str
    expected: str
    read: Callable[[str], Any]
    is_switch: bool = False


class Range(NamedTuple):
    """A range of whole numbers with both its ends, out of which every task draws its own."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def largest(size: int | Range | None) -> int:
    """The number itself, or the last one of a range; 0 if there is none.

    Example:
      >>> largest(Range(2, 20)), largest(5), largest(None)
      (20, 5, 0)
    """
    return size.last if isinstance(size, Range) else size or 0


def integer(at_least: int | None = None) -> Kind:
    """Whole numbers, of `at_least` or more."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", text):  # int() takes 1_000 and digits of any script
            raise ValueError
        value = int(text)
        if at_least is not None and value < at_least:
            raise ValueError
        return value

    more = "" if at_least is None else f" of at least {at_least}"
    return Kind("N", f"an integer{more}", read)


def size(at_least: int) -> Kind:
    """Whole numbers of `at_least` or more, or a range of them, `LOW-HIGH`.

    Example:
      >>> size(1).read("1-10"), size(1).read("5-5"), size(1).read("5")
      (Range(first=1, last=10), 5, 5)
    """
    number = integer(at_least)

    def read(text: str) -> int | Range:
        low, dash, high = text.partition("-")
        if not low or not dash:
            return number.read(text)
        first, last = number.read(low), number.read(high)
        if first > last:
            raise ValueError
        return Range(first, last) if first < last else first

    return Kind("N|LOW-HIGH", f"{number.expected}, or a range such as {at_least}-20", read)


def choice(*names: str, outside: bool = False) -> Kind:
    """One of `names`; with `outside` a `package.module:Name` too."""

    def read(text: str) -> str:
        if text not in names and not (outside and ":" in text):
            raise ValueError
        return text

    shown = "|".join(names) if len(names) < 5 and not outside else "NAME"
    return Kind(shown, f"one of {', '.join(names)}{', or module:Name' * outside}", read)


def optional(kind: Kind) -> Kind:
    """The same, or `none`."""
    return dataclasses.replace(
        kind,
        expected=f"{kind.expected}, or none",
        read=lambda text: None if text == "none" else kind.read(text),
    )


def literal(text: str) -> Any:
    """The value of a Python literal; other texts stand for themselves."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _switch(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",")) if text else ()
    if "" in words:
        raise ValueError
    return words


def _widths(text: str) -> tuple[str, ...]:
    words = _words(text)
    if not all(re.fullmatch("[1-9][0-9]*", word) for word in words):
        raise ValueError
    return words


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _path(text: str) -> str:
    text.encode("utf-8")  # to be written into a file of flags; UnicodeEncodeError is a ValueError
    if not text or "\0" in text:
        raise ValueError
    return text


NUMBER = Kind("X", "a finite number", _number)
TEXT = Kind("TEXT", "a text", str)
PATH = Kind("PATH", "a path, of characters in UTF-8", _path)
WIDTHS = Kind("N,N,…", "widths such as 40,40, each a whole number of at least 1", _widths)
SWITCH = Kind("", "True or False", _switch, is_switch=True)
WORDS = Kind("A,B,…", "words with commas between them", _words)
LITERAL = Kind("VALUE", "a value", literal)


def of_annotation(annotation: str) -> Kind:
    """The kind that a field's annotation, as it is written, asks for.

    Example:
      >>> of_annotation("int | None").read("none") is None
      True
      >>> of_annotation("Literal['sgd', 'adam']").expected
      'one of sgd, adam'
    """
    if annotation.endswith(" | None"):
        return optional(of_annotation(annotation.removesuffix(" | None")))
    if names := re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", annotation):
        return choice(*ast.literal_eval(f"({names[1]},)"))
    if "tuple[str, ...]" in annotation:
        return WORDS
    simple = {"int": integer(), "float": NUMBER, "bool": SWITCH, "str": TEXT}
    return simple.get(annotation, LITERAL)


def as_text(value: Any) -> str:
    """What to write after `--name=` for a value."""
    if value is None:
        return "none"
    if isinstance(value, Range):
        return str(value)
    return ",".join(value) if isinstance(value, list | tuple) else str(value)
