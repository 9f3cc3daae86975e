"""The sizes and the precision of an export to another runtime."""

from __future__ import annotations

import dataclasses
from typing import Any

from meta_tf.checks import check_integer, check_switch
from meta_tf.data_checks.outputs import classes_of
from meta_tf.learner import MetaLearner

ROUNDED = ("float16", "int8")  # the types of weights that are not the learner's own
_SIZES = ("ways", "shots", "queries")
_AGREEING = 3
_LARGE = 2**15  # numbers in an example of which fewer are tried: a picture of 104 x 104 pixels
_MOST_NUMBERS = 2**19  # in one example of each class, when sets of any size are tried


@dataclasses.dataclass(frozen=True)
class Request:
    """The sizes and the precision of an export.

    A size that is None is open: each call chooses it.

    Args:
      ways: classes in a task; the learner's own if None, and 1 for a regression.
      shots: support examples of a class; 1 if None and `ways` is given.
      queries: the number of queries in one call.
      float16: whether to store the weights in half of the bytes.
      int8: whether to store them in a quarter of the bytes.

    Raises:
      ValueError: if a number is not an integer of at least 1, or both kinds of weights are
        requested.
    """

    ways: int | None = None
    shots: int | None = None
    queries: int | None = None
    float16: bool = False
    int8: bool = False

    def __post_init__(self) -> None:
        for name in _SIZES:
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), at_least=1)
        for name in ROUNDED:
            check_switch(name, getattr(self, name))
        if self.float16 and self.int8:
            raise ValueError(
                "`float16` and `int8` store the weights in different types: choose one of them. "
                "Received: float16=True, int8=True."
            )

    def chosen(self) -> dict[str, int]:
        """The sizes that are not open, by name."""
        return {name: getattr(self, name) for name in _SIZES if getattr(self, name) is not None}

    def support(self, ways: int) -> int | None:
        """The number of support examples for this number of classes; None if it is open."""
        is_open = self.ways is None and self.shots is None
        return None if is_open else ways * (self.shots or 1)

    def in_words(self, ways: int) -> str:
        """The numbers of examples that a file takes in one call, in words."""
        if not self.chosen():
            return "support and query sets of any size"
        support = self.support(ways) or "any number of"
        return f"{support} support examples and {self.queries or 'any number of'} queries in a call"

    def ways_of(self, learner: MetaLearner, inputs: Any) -> int:
        """The number of classes per task: as requested, or else the learner's.

        Raises:
          ValueError: if more classes are requested than the learner has.
        """
        most = classes_of(learner.algorithm, learner.network, inputs)
        if self.ways and most and self.ways > most:
            raise ValueError(
                f"`ways` must be at most {most}, the number of classes that this learner "
                f"distinguishes. Received: {self.ways}."
            )
        return self.ways or most or 1

    def ways_to_try(self, ways: int, numbers: int) -> int:
        """The classes of the tasks to test a file with: fewer for large examples.

        Args:
          ways: the number of classes, as returned by `ways_of`.
          numbers: the numbers in one example.
        """
        is_open = self.support(ways) is None
        fewest = 2 if numbers > _LARGE else 5
        return min(ways, max(fewest, _MOST_NUMBERS // numbers)) if is_open else ways

    def tasks_to_agree(self, sizes: int, numbers: int) -> int:
        """How many tasks of each size must agree: three, or in all with large examples.

        Args:
          sizes: how many sizes are tried.
          numbers: the numbers in one example.
        """
        return -(-_AGREEING // sizes) if numbers > _LARGE else _AGREEING

    def sizes_to_try(self, ways: int) -> list[tuple[int, int]]:
        """The pairs of support and query sizes, [(S, Q), …], to test a file with."""
        sizes = [(ways, 6), (ways, 1), (3 * ways, 7), (2 * ways + 1, 2 * ways), (min(ways, 5), 2)]
        fixed = self.support(ways), self.queries
        return list(dict.fromkeys((fixed[0] or s, fixed[1] or q) for s, q in sizes))
