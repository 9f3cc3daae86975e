"""A figure of one image-classification task and a learner's predictions."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from meta_tf.batch.sizes import task_of
from meta_tf.checks import check_integer
from meta_tf.evaluation.evaluate import check_learner_and_split
from meta_tf.learner import MetaLearner
from meta_tf.plots.style import GREEN, GREY, RED, headline, of_user, picture

# The indices of a class's images in the support and query set, by its label.
_Rows = dict[int, tuple[np.ndarray, np.ndarray]]

_LARGE, _SMALL = 1.15, 0.65  # inches per image, with few classes and with many
_LETTERS = 18  # per line of a class's name
_LETTERS_AN_INCH = 10  # of a name above an image
_TALL = 14.0  # inches of all rows together, unless that makes the images too small


def images(learner: MetaLearner, split: Any, seed: int = 0, most: int = 6) -> Figure:
    """Draws one image-classification task and the learner's predictions.

    There is one row per class, with its name if known: its support images, then its query
    images, each with the predicted class, ✓ and green if right, ✗ and red if wrong, mistakes
    first. If the names do not fit above the images, rows are numbered, and images show the
    number of the predicted class.

    Args:
      learner: a learner of images [height, width, channels] or [height, width].
      split: the split to draw the task from.
      seed: selects the task.
      most: the largest number of support and of query images drawn per class. All images are
        learned and counted.

    Raises:
      ValueError: if the examples are not images, or the targets are not class numbers.

    Example:
      >>> pixels = np.random.default_rng(0).uniform(size=[120, 8, 8, 1])
      >>> tasks = meta_tf.tasks.from_arrays(pixels, np.arange(120) % 20, ways=3, queries=4)
      >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
      >>> learner = meta_tf.MetaLearner(meta_tf.models.mlp((8, 8, 1), 3), loss=loss)
      >>> figure = images(learner, tasks.test)
      >>> len(figure.axes)  # 3 classes, 1 support and 4 query images of each
      15
    """
    check_learner_and_split(learner, split)
    check_integer("most", most, at_least=1)
    x, query_y = next(iter(split.batches(1, seed=seed)))
    _check_images(x["query_x"], query_y)
    task = task_of({**x, "query_y": query_y}, 0)
    support_x, support_y, query_x = (task[n] for n in ("support_x", "support_y", "query_x"))
    labels, predicted = task["query_y"].numpy(), learner.adapt(support_x, support_y)(query_x)
    predicted = np.argmax(predicted, -1)
    rows = _rows(support_y.numpy(), labels, predicted, most)
    names = _names(split, seed)
    supported, queried = _on_one_scale(support_x.numpy(), query_x.numpy())
    figure = _drawn(rows, supported, queried, predicted, names)
    right = int(np.sum(predicted == labels))
    headline(
        figure,
        f"{type(learner.algorithm).__name__}, {len(rows)}-way: {right} of {len(labels)} query "
        f"images right ({100 * right / len(labels):.1f} %)\n"
        "above each, the predicted class; mistakes first",
    )
    return figure


def _on_one_scale(*sets: np.ndarray) -> list[np.ndarray]:
    """Sets of images with pixels from 0 to 1, so that all can be compared."""
    low, high = min(np.min(x) for x in sets), max(np.max(x) for x in sets)
    if low >= 0 and high <= 1:
        low, high = 0, 1
    elif low >= 0 and high <= 255 and all((x == np.floor(x)).all() for x in sets):
        low, high = 0, 255
    return [(x - low) / (high - low or 1) for x in sets]  # standardized pixels, for example


def _rows(support_y: np.ndarray, labels: np.ndarray, predicted: np.ndarray, most: int) -> _Rows:
    rows = {}
    for label in np.unique(support_y):
        queries = np.flatnonzero(labels == label)
        mistakes_first = queries[np.argsort(predicted[queries] == label, kind="stable")]
        rows[label] = np.flatnonzero(support_y == label)[:most], mistakes_first[:most]
    return rows


def _names(split: Any, seed: int) -> list[str]:
    """The names of the first task's classes, with the folder unless all share it."""
    names = split.class_names(0, seed) if hasattr(split, "class_names") else []
    folders = {name.rpartition("/")[0] for name in names}
    parts = 1 if len(folders) == 1 else 2
    return ["/".join(name.split("/")[-parts:]) for name in names]


def _drawn(
    rows: _Rows,
    support_x: np.ndarray,
    query_x: np.ndarray,
    predicted: np.ndarray,
    names: list[str],
) -> Figure:
    shots, queries = (max(map(len, found)) for found in zip(*rows.values(), strict=True))
    cell = float(np.clip(_TALL / len(rows), _SMALL, _LARGE))
    size = (cell * (shots + queries) + 0.8, (cell + 0.25) * len(rows) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    widths = [1] * shots + [0.2] + [1] * queries  # with a gap between the two sets
    grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
    font = 11 if cell == _LARGE else 8
    numbered = max(map(len, names), default=0) > _LETTERS_AN_INCH * cell
    for r, (label, (supported, queried)) in enumerate(rows.items()):
        for c, i in enumerate(supported):
            axes = figure.add_subplot(grid[r, c])
            picture(axes, support_x[i], 1, GREY)
            if r == 0:
                axes.set_title("support", color=GREY, fontsize=min(font, 9), pad=3)
            if c == 0:
                number = f"{label}: " * numbered
                name = names[label] if names else f"class {label}"
                _name_row(axes, number + name, font)
        for c, i in enumerate(queried):
            mark, colour = ("✓", GREEN) if predicted[i] == label else ("✗", RED)
            axes = figure.add_subplot(grid[r, shots + 1 + c])
            picture(axes, query_x[i], 1, colour)
            text, small = str(predicted[i]), font
            if not numbered and predicted[i] < len(names):
                text, small = names[predicted[i]], min(font, 8)
            axes.set_title(f"{mark} {text}", color=colour, fontsize=small, pad=3, **of_user())
    return figure


def _name_row(axes: Axes, name: str, font: float) -> None:
    """Writes a class's name in front of its row, wrapped if it is long."""
    lines = textwrap.wrap(name.replace("/", "/ "), _LETTERS, max_lines=3, placeholder=" …")
    text = "\n".join(lines).replace("/ ", "/")
    where: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center", "labelpad": 6}
    axes.set_ylabel(text, fontsize=min(font, 9), **where, **of_user())


def _check_images(query_x: Any, query_y: tf.Tensor) -> None:
    shape = list(query_x.shape[2:]) if tf.is_tensor(query_x) else []
    if len(shape) not in (2, 3) or shape[2:] not in ([], [1], [3]):
        raise ValueError(
            "`split` must have images, [T, Q, height, width, 1 or 3] or [T, Q, height, width]. "
            f"Received: query_x of shape {getattr(query_x, 'shape', type(query_x).__name__)}."
        )
    if not query_y.dtype.is_integer:
        raise ValueError(
            "`split` must have class numbers as targets. Received: query_y of dtype "
            f"{query_y.dtype.name}."
        )
