"""Checks of arguments, so that a wrong one is answered early and in the same words."""

from __future__ import annotations

import math
import numbers
from typing import Any


def check_integer(name: str, value: Any, at_least: int, why: str = "") -> None:
    """Raises ValueError unless `value` is an integer of `at_least` or more."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < at_least:
        raise ValueError(
            f"`{name}` must be an integer of at least {at_least}{_so(why)}{_got(value)}"
        )


def check_number(name: str, value: Any, above: float, below: float = math.inf) -> None:
    """Raises ValueError unless `value` is a finite number between the two bounds."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not above < value < below or not math.isfinite(value):
        upper = f" and below {below:g}" if below < math.inf else ""
        raise ValueError(f"`{name}` must be a number above {above:g}{upper}{_got(value)}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(c) for c in choices)
        raise ValueError(f"`{name}` must be one of {listed}{_got(value)}")


def _so(why):
    return f" ({why})" if why else ""


def _got(value):
    return f". Received: {value!r}."
