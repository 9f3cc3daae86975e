"""Tasks made from arrays of examples and labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from meta_tf.checks import check_unmasked, without_objects
from meta_tf.tasks.class_source import ClassData, ClassSource, Rotations
from meta_tf.tasks.divide import split_by_fractions
from meta_tf.tasks.examples import as_examples, numbered
from meta_tf.tasks.size_range import SizeRange
from meta_tf.tasks.source import Source


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike,
    ways: SizeRange = 5,
    shots: SizeRange = 1,
    queries: SizeRange | None = None,
    split: Sequence[float] = (0.64, 0.16, 0.20),
    rotations: Rotations = None,
    scale: bool = True,
) -> Source:
    """Makes N-way K-shot tasks from examples that are already in memory.

    Args:
      images: the examples, [n, ...] with any shape after the first axis: images,
        sequences, vectors. uint8 counts as images and is scaled from 0 … 255 to
        [0, 1]; floats become float32, other integers (such as token numbers) int32.
      labels: the class of each example, [n], integers or strings. The classes
        are divided among the splits; each task numbers its classes from 0.
      ways: N, classes per task. With a range `(2, 20)`, each task draws its own number,
        uniformly; likewise for `shots` and `queries`. See `meta_tf.types` for such batches.
      shots: K, support examples per class.
      queries: query examples per class; if None, as many as the smallest class allows, at most 15.
      split: fractions of the classes for training, validation and test. The split
        of a class depends only on its label, not on the order.
      rotations: `"task"`, `"classes"` or `None`, for square images.
      scale: whether to scale uint8 from 0 … 255 to [0, 1]. With False, it stays unchanged, for
        a model that scales pixels itself, as most of `keras.applications` do.

    Returns:
      A `Source` of kind "classification".

    Raises:
      ValueError: if the arrays do not fit together, are empty, not finite or of an
        unsupported type, or have too few examples for such tasks.

    Example:
      >>> vectors = np.random.default_rng(0).normal(size=[600, 8])
      >>> tasks = meta_tf.tasks.from_arrays(vectors, np.arange(600) % 30, ways=3, queries=5)
      >>> x, _ = next(iter(tasks.train.batches(4)))
      >>> x["support_x"].shape
      TensorShape([4, 3, 8])
    """
    check_unmasked("images", images)
    examples, labels = (without_objects(np.asarray(given)) for given in (images, labels))
    _check_shapes(examples, labels)
    names, classes = numbered("labels", labels, "class")
    examples = as_examples("images", examples)
    order = np.argsort(classes, kind="stable")
    data = ClassData(examples[order], np.bincount(classes), names)
    return ClassSource(
        data,
        split_by_fractions(names, split),
        ways=ways,
        shots=shots,
        queries=queries,
        rotations=rotations,
        scale=scale,
    )


def _check_shapes(examples: np.ndarray, labels: np.ndarray) -> None:
    if examples.ndim < 2 or labels.ndim != 1 or len(examples) != len(labels) or not examples.size:
        raise ValueError(
            "`images` must be [n, ...], with at least one axis after the first, and `labels` "
            "[n], the class of each, with n above 0. Received: images of shape "
            f"{examples.shape} and labels of shape {labels.shape}. Reshape single numbers to "
            "[n, 1] with images[:, None], and one-hot labels to [n] with labels.argmax(-1)."
        )
