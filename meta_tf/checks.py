"""Checks of arguments, which report invalid ones early and in the same words."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np

_LONGEST = 300  # characters of a value in an error message


def check_integer(
    name: str, value: Any, at_least: int, why: str = "", at_most: float = math.inf
) -> None:
    """Raises ValueError unless `value` is an integer between the two bounds."""
    if not _is_integer(value) or not at_least <= value <= at_most:
        upper = f" and at most {at_most}" if at_most < math.inf else ""
        raise ValueError(
            f"`{name}` must be an integer of at least {at_least}{upper}{_so(why)}{_got(value)}"
        )


def check_seed(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is an integer that can be a seed."""
    if not _is_integer(value) or not -(2**63) <= value < 2**63:
        raise ValueError(f"`{name}` must be an integer of 64 bits, such as 0{_got(value)}")


def check_number(name: str, value: Any, above: float, below: float = math.inf) -> None:
    """Raises ValueError unless `value` is a finite number between the two bounds."""
    if not _is_number(value) or not above < value < below:
        upper = f" and below {below:g}" if below < math.inf else ""
        raise ValueError(f"`{name}` must be a number above {above:g}{upper}{_got(value)}")


def check_decay(name: str, value: Any) -> None:
    """Raises ValueError unless `value` can be the decay of a moving mean: 0 ≤ value < 1."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be a number of at least 0 and below 1{_got(value)}")


def check_not_negative(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ValueError(f"`{name}` must be a number of at least 0{_got(value)}")


def check_switch(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False{_got(value)}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if not isinstance(value, Hashable) or value not in choices:  # arrays compare by element
        listed = ", ".join(repr(c) for c in choices)
        raise ValueError(f"`{name}` must be one of {listed}{_got(value)}")


def check_text(name: str, value: Any, such_as: str) -> None:
    """Raises ValueError unless `value` is a non-empty string."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a text such as {such_as!r}{_got(value)}")


def check_unmasked(name: str, value: Any) -> None:
    """Raises ValueError for a NumPy array with masked values, which would lose its mask."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"`{name}` must not be masked: each number would count. Received: an array with "
            f"{np.ma.count_masked(value)} masked values. Leave these examples out, or replace the "
            "values: .filled(...)."
        )


def are_objects(value: Any) -> bool:
    """Whether this is a NumPy array of Python objects."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def without_objects(values: np.ndarray) -> np.ndarray:
    """An array of Python objects, as pandas makes it, as texts or numbers if all are; or itself."""
    if are_objects(values) and values.size:
        real = numbers.Real, np.bool_
        for kinds, dtype in ((str, None), (real, None), ((*real, Decimal), float)):
            if all(isinstance(each, kinds) for each in values.flat):
                return np.array(values.tolist(), dtype)
    return values


def check_no_objects(name: str, value: Any) -> None:
    """Raises ValueError for an array of Python objects, unless all are texts."""
    if not are_objects(value):
        return
    kinds = {type(each).__name__ for each in value.flat}
    if kinds != {"str"}:
        kinds = kinds - {"bool", "int", "float"} or kinds
        raise ValueError(
            f"`{name}` must be an array of numbers. Received: Python objects of the types "
            f"{', '.join(sorted(kinds))}. Convert them with .astype('float32')."
        )


def check_kind(name: str, value: Any, kind: type, wanted: str) -> None:
    """Raises ValueError unless `value` is of this type, described by `wanted`."""
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be {wanted}. Received: {type(value).__name__}.")


def as_patterns(name: str, value: Any) -> tuple[str, ...] | None:
    """Patterns over the names of weights as a tuple; None (all weights) stays None.

    Raises:
      ValueError: if `value` is not None, a pattern, or a non-empty list of patterns.
    """
    if value is None:
        return None
    patterns = [value] if isinstance(value, str) else value
    several = isinstance(patterns, list | tuple) and len(patterns) > 0
    if not several or not all(isinstance(p, str) and p for p in patterns):
        raise ValueError(
            f"`{name}` must be None for all weights, or a pattern over their names such as "
            f"'head' or '!norm*', or a list of such patterns{_got(value)}"
        )
    return tuple(patterns)


def few(names: Iterable[Any]) -> str:
    """The first names in one line of an error message, and how many there are if not all."""
    listed = [repr(str(name)) for name in names]
    return ", ".join(listed[:8]) + (f", … ({len(listed)} in all)" if len(listed) > 8 else "")


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _so(why: str) -> str:
    return f" ({why})" if why else ""


def _got(value: Any) -> str:
    return f". Received: {shown(value)}."


def shown(value: Any) -> str:
    """A value on one line of an error message, truncated if it is long, as arrays are."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
