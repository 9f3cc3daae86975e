"""`Confusion`: how often each class was predicted as which, with an interval of the accuracy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_Z = 1.96  # the normal distribution's 97.5 % quantile
_MOST_COLUMNS = 16  # of the table, which shows the commonest mistakes if there are more classes
_SHOWN = 5  # the number of mistakes to list
_WIDEST = 13  # letters of a column's title


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How often examples of the class of a row were predicted as the class of a column: `counts`.

    Example:
      >>> confusion = Confusion.of(["cap", "cup"], [0, 0, 0, 1], [0, 0, 1, 1])
      >>> print(confusion)
      true   cap  cup
      cap      2    1
      cup      .    1
      >>> [round(value, 2) for value in (confusion.accuracy, *confusion.interval)]
      [0.75, 0.3, 0.95]
    """

    names: tuple[str, ...]
    counts: np.ndarray

    @classmethod
    def of(
        cls, names: Sequence[str], labels: Sequence[int], predicted: Sequence[int] | np.ndarray
    ) -> Confusion:
        """Counts the predictions of examples with these labels; both are class numbers."""
        counts = np.zeros([len(names), len(names)], int)
        np.add.at(counts, (np.asarray(labels, int), np.asarray(predicted, int)), 1)
        return cls(tuple(names), counts)

    @property
    def number(self) -> int:
        """The number of examples."""
        return int(self.counts.sum())

    @property
    def right(self) -> int:
        """The number of examples that were predicted as their class."""
        return int(np.trace(self.counts))

    @property
    def accuracy(self) -> float:
        """The share of examples that were predicted as their class."""
        return self.right / self.number

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, which also holds for few examples."""
        n, p = self.number, self.accuracy
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)

    def in_words(self) -> str:
        """`45 of 60 right: 75.0 % (95 % interval 62.8 to 84.2 %)`."""
        low, high = (100 * value for value in self.interval)
        return (
            f"{self.right} of {self.number} right: {100 * self.accuracy:.1f} % "
            f"(95 % interval {low:.1f} to {high:.1f} %)"
        )

    def mixed_up(self) -> list[tuple[str, str, int, int]]:
        """The mistakes, the most frequent first.

        Each is the class, what it was predicted as, how often, and the number of its examples.
        """
        found = [
            (self.names[i], self.names[j], int(self.counts[i, j]), int(self.counts[i].sum()))
            for i, j in zip(*np.nonzero(self.counts), strict=True)
            if i != j
        ]
        return sorted(found, key=lambda mistake: (-mistake[2], mistake[3]))

    def mixed_up_in_words(self) -> str:
        """The most frequent mistakes in one line; empty if there are none."""
        mistakes = self.mixed_up()
        listed = [f"{a} taken for {b} ({k} of {n})" for a, b, k, n in mistakes[:_SHOWN]]
        return ", ".join(listed) + (", …" if len(mistakes) > _SHOWN else "")

    def __str__(self) -> str:
        """A table with the classes as rows and the predictions as columns; zeros are dots."""
        rows = np.flatnonzero(self.counts.sum(1))
        columns = np.flatnonzero(self.counts.sum(0) + self.counts.sum(1))
        if len(columns) > _MOST_COLUMNS:
            return f"mixed up: {self.mixed_up_in_words()}" if self.mixed_up() else "no mistakes"
        titles = [_short(self.names[j]) for j in columns]
        first = max(len("true"), *(len(self.names[i]) for i in rows))
        wide = [max(3, len(title)) for title in titles]

        def line(name: str, cells: Sequence[str]) -> str:
            padded = (f"{cell:>{width}}" for cell, width in zip(cells, wide, strict=True))
            return "  ".join([f"{name:<{first}}", *padded])

        lines = [line("true", titles)]
        lines += [
            line(self.names[i], [str(self.counts[i, j] or ".") for j in columns]) for i in rows
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The counts and the accuracy, for JSON."""
        return {
            "right": self.right,
            "number": self.number,
            "accuracy": self.accuracy,
            "interval95": list(self.interval),
            "classes": list(self.names),
            "counts": self.counts.tolist(),
        }


def _short(name: str) -> str:
    return name if len(name) <= _WIDEST else name[: _WIDEST - 1] + "…"
