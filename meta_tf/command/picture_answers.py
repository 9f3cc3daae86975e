"""The answers for new pictures: a table, CSV, JSON, and a report of what is right."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_tf.evaluation.confusion import Confusion

NONE = "none of these"


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model answers for new pictures.

    Args:
      pictures: their names.
      classes: the names of the classes.
      probabilities: of each class, [Q, N].
      none: whether a picture is none of the classes, [Q].
      labels: the class of each picture, if it is known; N for none of the classes.
    """

    pictures: Sequence[str]
    classes: Sequence[str]
    probabilities: np.ndarray
    none: np.ndarray
    labels: Sequence[int | None]

    @property
    def names(self) -> list[str]:
        """The names of the classes, and that of none of them."""
        return [*self.classes, NONE]

    @property
    def predicted(self) -> np.ndarray:
        """The number of the predicted class of each picture, [Q]; N for none."""
        return np.where(self.none, len(self.classes), self.probabilities.argmax(-1))

    @property
    def confusion(self) -> Confusion | None:
        """The answers beside the labels; None without labels."""
        known = [i for i, label in enumerate(self.labels) if label is not None]
        labels = [label for label in self.labels if label is not None]
        return Confusion.of(self.names, labels, self.predicted[known]) if known else None

    def table(self) -> str:
        """The answers as a table for the screen; ✓ and ✗ where the class is known."""
        rows = [["", "picture", "class", "confidence"]]
        for name, sure, number, label in zip(
            self.pictures, self.probabilities, self.predicted, self.labels, strict=True
        ):
            mark = "" if label is None else "✓" if label == number else "✗"
            told = f"{100 * sure.max():.1f} %"
            if number == len(self.classes):
                told = f"nearest {self.classes[sure.argmax()]}"
            rows.append([mark, name, self.names[number], told])
        if not any(row[0] for row in rows):
            rows = [row[1:] for row in rows]
        wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = []
        for row in rows:
            left = [f"{cell:<{w}}" for cell, w in zip(row[:-1], wide, strict=False)]
            lines.append("   ".join([*left, f"{row[-1]:>{wide[-1]}}"]))
        return "\n".join(lines)

    def as_csv(self) -> str:
        """The answers as CSV: picture, class, confidence, the probability of every class.

        The class is in a last column, `true`, where it is known.
        """
        known = any(label is not None for label in self.labels)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        titles = ["picture", "class", "confidence", *(f"p({name})" for name in self.classes)]
        writer.writerow([*titles, "true"] if known else titles)
        for name, row, number, label in zip(
            self.pictures, self.probabilities, self.predicted, self.labels, strict=True
        ):
            cells = [name, self.names[number], *(f"{p:.6f}" for p in (row.max(), *row))]
            true = "" if label is None else self.names[label]
            writer.writerow([*cells, true] if known else cells)
        return text.getvalue()

    def as_json(self) -> list[dict[str, Any]]:
        """The answers for JSON."""
        found = []
        for name, row, number, label in zip(
            self.pictures, self.probabilities, self.predicted, self.labels, strict=True
        ):
            sure = dict(zip(self.classes, (round(float(p), 6) for p in row), strict=True))
            known = number < len(self.classes)
            one = {"picture": name, "class": self.names[number] if known else None}
            one |= {"confidence": max(sure.values()), "probabilities": sure}
            found.append(one if label is None else {**one, "true": self.names[label]})
        return found


def report(confusion: Confusion) -> str:
    """What is right, and a confusion matrix if something is not."""
    told = f"{confusion.told()}."
    return told if confusion.right == confusion.number else f"{told}\n\n{confusion}"
