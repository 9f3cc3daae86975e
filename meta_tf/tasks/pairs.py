"""Tasks from any iterable of examples with labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from meta_tf.tasks.arrays import from_arrays
from meta_tf.tasks.class_source import Rotations
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
    """Makes N-way K-shot tasks from an iterable of `(example, label)`, which it reads once.

    The iterable can be a `tf.data.Dataset`, a TFDS data set (`as_supervised=True`), a grain loader
    or your own generator. All examples are kept in memory, as in `from_arrays`.

    Args:
      pairs: gives `(example, label)`, arrays or tensors, and ends. All examples have one shape.
      ways: as in `from_arrays`.
      shots: as in `from_arrays`.
      queries: as in `from_arrays`.
      split: as in `from_arrays`.
      rotations: as in `from_arrays`.
      scale: as in `from_arrays`.

    Returns:
      A `Source` of kind "classification".

    Raises:
      ValueError: if `pairs` gives something else, nothing, or examples of different shapes, or
        if `from_arrays` raises it.

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
                f"{type(pair).__name__} as number {number}. A TFDS data set gives pairs with "
                "as_supervised=True; convert dictionaries: ((d['image'], d['label']) for d "
                "in data)."
            )
        example, label = (np.asarray(part) for part in pair)
        if examples and example.shape != examples[0].shape:
            raise ValueError(
                f"`pairs` must give examples of one shape. Received: {examples[0].shape}, and "
                f"{example.shape} as number {number}. Resize them, or split batches "
                "(.unbatch())."
            )
        if label.shape:
            raise ValueError(
                f"`pairs` must give one label for each example. Received: a label of shape "
                f"{label.shape} as number {number}. Split batches (.unbatch()), or convert "
                "one-hot labels to numbers (.argmax())."
            )
        examples.append(example)
        labels.append(label.item())
    if not examples:
        raise ValueError("`pairs` must give examples. Received: none; a generator ends after use.")
    return from_arrays(
        np.stack(examples), np.array(labels), ways, shots, queries, split, rotations, scale
    )
