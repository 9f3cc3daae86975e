"""Shared code of the sources given by a formula: random streams, and ranges of numbers."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import tensorflow as tf

from meta_tf.tasks.split import Split
from meta_tf.types import Batch

_LARGEST = 1e37  # the width of a range must be finite in float32 too
_LANES = 16  # float32 numbers in the widest vector register


def formula_splits(episodes: Callable[[tf.Tensor], Batch], numbers: int) -> list[Split]:
    """Creates three splits of the same formula, with different random streams."""
    return [Split(episodes, numbers, stream=stream, multiple=_LANES) for stream in range(3)]


def check_range(name: str, limits: tuple[float, float]) -> None:
    """Checks that a range is two finite numbers, the lower one first."""
    pair = isinstance(limits, tuple | list) and len(limits) == 2
    numbers = pair and all(
        isinstance(limit, Real) and not isinstance(limit, bool) and abs(limit) <= _LARGEST
        for limit in limits
    )
    if not numbers or not limits[0] <= limits[1]:
        raise ValueError(
            f"`{name}` must be a pair (low, high) of finite numbers with low <= high. "
            f"Received: {name}={limits!r}."
        )


def between(limits: tuple[float, float], u: tf.Tensor) -> tf.Tensor:
    """Moves numbers uniform in [0, 1) to the range `limits`."""
    low, high = limits
    return low + (high - low) * u


def standard_normal(u: tf.Tensor) -> tf.Tensor:
    """Transforms numbers uniform in [0, 1) to N(0, 1), elementwise, always finite."""
    # A float32 uniform is a multiple of 2^-23; the middle of its cell is never 0 or 1.
    return tf.math.ndtri(u + 2.0**-24)
