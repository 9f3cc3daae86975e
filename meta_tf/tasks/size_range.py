"""Ways, shots or queries as a number, or as a range from which every task draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from meta_tf.checks import check_integer

SizeRange: TypeAlias = int | Sequence[int]
"""A number, or the smallest and the largest number, `(2, 20)`."""


def ends_of(name: str, value: Any) -> tuple[int, int]:
    """The smallest and the largest number of a range; twice the same for a number.

    Example:
      >>> ends_of("ways", (2, 20)), ends_of("ways", 5)
      ((2, 20), (5, 5))
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        check_integer(name, value, at_least=1, why="or a range such as (1, 10)")
        return int(value), int(value)
    if len(value) == 2:
        for end in value:
            check_integer(name, end, at_least=1, why="each end of the range")
        if value[0] <= value[1]:
            return int(value[0]), int(value[1])
    raise ValueError(
        f"`{name}` must be an integer, or a range (smallest, largest). Received: {value!r}."
    )


class RangeSizes(NamedTuple):
    """The smallest and the largest number of ways, shots and queries.

    They are drawn uniformly and independently for every task, and are the same for all its classes.
    """

    ways: tuple[int, int]
    shots: tuple[int, int]
    queries: tuple[int, int]

    def if_they_vary(self) -> RangeSizes | None:
        """These sizes; None if all tasks have the same."""
        return self if any(first < last for first, last in self) else None

    @property
    def numbers(self) -> int:
        """The number of uniform numbers for a task's sizes."""
        return len(self)

    @property
    def support(self) -> int:
        """The largest support set."""
        return self.ways[1] * self.shots[1]

    @property
    def query(self) -> int:
        """The largest query set."""
        return self.ways[1] * self.queries[1]

    def draw(self, u: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Support and query examples of each class, [T, N], zeros for absent classes.

        They come from uniform numbers `u` [T, 3]; the drawn classes have `counts` [T, N] examples.
        """
        ways, shots, queries = (one_of(u[:, i : i + 1], ends) for i, ends in enumerate(self))
        there = tf.cast(tf.range(counts.shape[1]) < ways, tf.int32)
        return shots * there, queries * there


def one_of(u: tf.Tensor, ends: tuple[int, int]) -> tf.Tensor:
    """Whole numbers from the first to the last end, uniformly distributed, from uniform numbers."""
    first, last = ends
    # Rounding can raise the product to the number of choices.
    return tf.minimum(first + tf.cast(u * (last - first + 1), tf.int32), last)
