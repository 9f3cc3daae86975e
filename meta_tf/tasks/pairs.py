"""Tasks made from whatever gives examples with their labels one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from meta_tf.tasks.arrays import from_arrays
from meta_tf.tasks.episodes import Rotations
from meta_tf.tasks.size_range import SizeRange
from meta_tf.tasks.source import Source


def from_pairs(
    pairs: Iterable[tuple[Any, Any]],
    ways: SizeRange = 5,
    shots: SizeRange = 1,
    queries: SizeRange | None = None,
    split: Sequence[float] = (0.64, 0.16, 0.20),
    rotations: Rotations = None,
    scale: bool = True,
) -> Source:
    """Makes N-way K-shot tasks from an iterable of `(example, label)`, which is read once.

    A `tf.data.Dataset`, a data set of TFDS (`as_supervised=True`), a grain loader or a generator
    of yours: all examples are held in memory, as `from_arrays` has them.

    Args:
      pairs: gives `(example, label)`, arrays or tensors, and ends. All examples have one shape.
      ways: N, classes per task; a range `(2, 20)` lets every task draw its own, uniformly,
        as `shots` and `queries` do: see `meta_tf.types` for batches of such tasks.
      shots: K, support examples per class.
      queries: query examples per class; if None, as many as the smallest class leaves, at
        most 15.
      split: fractions of the classes for training, validation and test.
      rotations: `"task"`, `"classes"` or `None`, for square images.
      scale: whether uint8 is scaled from 0 … 255 to [0, 1]. With False it stays as it is, for
        a model that scales pixels itself, as most of `keras.applications` do.

    Returns:
      A `Source` of kind "classification".

    Raises:
      ValueError: if `pairs` gives something else, nothing, or examples of several shapes, and
        as `from_arrays` does.

    Example:
      >>> vectors = np.random.default_rng(0).normal(size=[600, 8])
      >>> dataset = tf.data.Dataset.from_tensor_slices((vectors, np.arange(600) % 30))
      >>> meta_tf.tasks.from_pairs(dataset, ways=3, queries=5).input_shape
      (8,)
    """
    if not isinstance(pairs, Iterable):
        raise ValueError(
            "`pairs` must be an iterable of pairs (example, label), such as a tf.data.Dataset. "
            f"Received: {pairs!r}."
        )
    examples: list[np.ndarray] = []
    labels: list[Any] = []
    for number, pair in enumerate(pairs):
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ValueError(
                "`pairs` must give pairs (example, label). Received: "
                f"{type(pair).__name__} as number {number}. A data set of TFDS gives pairs with "
                "as_supervised=True; of dictionaries, make them: ((d['image'], d['label']) for d "
                "in data)."
            )
        example, label = (np.asarray(part) for part in pair)
        if examples and example.shape != examples[0].shape:
            raise ValueError(
                f"`pairs` must give examples of one shape. Received: {examples[0].shape}, and "
                f"{example.shape} as number {number}. Resize them, or take batches apart "
                "(.unbatch())."
            )
        if label.shape:
            raise ValueError(
                f"`pairs` must give one label for each example. Received: a label of shape "
                f"{label.shape} as number {number}. Take batches apart (.unbatch()), or make "
                "a number of a row of zeros and a one (.argmax())."
            )
        examples.append(example)
        labels.append(label.item())
    if not examples:
        raise ValueError("`pairs` must give examples. Received: none; a generator is read once.")
    return from_arrays(
        np.stack(examples), np.array(labels), ways, shots, queries, split, rotations, scale
    )
