"""A figure of pictures with the classes that a model gave them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from meta_tf.plots.style import GREEN, GREY, RED, headline, of_user, picture

_COLUMNS = 10
_INCHES = 1.15  # of a picture
_LETTERS = 17  # of a line above a picture
_COLUMNS_AT_LEAST = 4  # so that the title fits


def order(
    predicted: np.ndarray, probabilities: np.ndarray, labels: Sequence[int | None]
) -> np.ndarray:
    """The numbers of the pictures in the order of the figure: mistakes first, then the least sure.

    The arguments are those of `named_pictures`.
    """
    wrong = [a is not None and a != b for a, b in zip(labels, predicted, strict=True)]
    sure = probabilities.max(-1)
    return np.lexsort([np.where(wrong, -sure, sure), np.logical_not(wrong)])


def title_of(predicted: np.ndarray, labels: Sequence[int | None]) -> str:
    """How many predictions are right, and the order of the figure.

    The arguments are those of `named_pictures`.
    """
    known = [i for i, label in enumerate(labels) if label is not None]
    right = sum(labels[i] == predicted[i] for i in known)
    title = f"{right} of {len(known)} right" if known else "the least sure first"
    return title + (", mistakes first" if right < len(known) else "")


def named_pictures(
    pictures: np.ndarray,
    names: Sequence[str],
    predicted: np.ndarray,
    probabilities: np.ndarray,
    labels: Sequence[int | None] | None = None,
    title: str | None = None,
) -> Figure:
    r"""Draws pictures in the order given, each with the predicted class above it.

    ✓ and green mark a right prediction, ✗ and red a wrong one, with the true class in a second
    line. Pictures whose class is not known have neither.

    Args:
      pictures: uint8, [Q, height, width, 1 or 3].
      names: the names of the classes, by their numbers.
      predicted: predicted class numbers, [Q].
      probabilities: of each class, [Q, N]; the largest is shown, except for numbers of N and more.
      labels: the class numbers, None where the class is not known.
      title: above the figure; how many of these pictures are right if None.

    Example:
      >>> pictures = np.zeros([2, 8, 8, 3], np.uint8)
      >>> sure = np.array([[0.9, 0.1], [0.6, 0.4]])
      >>> figure = named_pictures(pictures, ["cap", "cup"], np.array([0, 0]), sure, [0, 1])
      >>> [axes.get_title().split("\n")[0] for axes in figure.axes[:2]]
      ['✓ cap 90 %', '✗ cap 60 %']
    """
    labels = [None] * len(pictures) if labels is None else labels
    columns = min(_COLUMNS, max(_COLUMNS_AT_LEAST, len(pictures)))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(_INCHES * columns, (_INCHES + 0.3) * rows + 0.5), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[len(pictures) :]:
        axes.axis("off")
    for axes, pixels, number, sure, label in zip(
        grid, pictures, predicted, probabilities, labels, strict=False
    ):
        colour = GREY if label is None else GREEN if label == number else RED
        percent = f" {100 * sure.max():.0f} %" if number < len(sure) else ""
        picture(axes, pixels, 255, colour)
        above = _title(names, number, percent, label)
        axes.set_title(above, color=colour, fontsize=7, pad=3, **of_user())
    headline(figure, title_of(predicted, labels) if title is None else title)
    return figure


def _title(names: Sequence[str], number: int, percent: str, label: int | None) -> str:
    mark = "" if label is None else "✓ " if label == number else "✗ "
    first = f"{mark}{_short(names[number])}{percent}"
    return first if label is None or label == number else f"{first}\nis {_short(names[label])}"


def _short(name: str) -> str:
    return textwrap.shorten(name, _LETTERS, placeholder="…") if " " in name else name[:_LETTERS]
