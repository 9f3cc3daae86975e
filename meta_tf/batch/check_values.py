"""Checks of values, which are known only while a step runs, and what `fit` makes of their errors.

Eagerly they raise ValueError. Within a compiled step they are assertions, whose errors
`checked_call` turns back into the sentence that they were given.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.batch.check_batch import BATCH_KEYS, check_batch
from meta_tf.batch.check_targets import outputs_of, wants_labels
from meta_tf.batch.require import require
from meta_tf.network.check_loss import ignored_class
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Tensors


def with_right_labels(
    algorithm: Algorithm, network: Network, labels: dict[str, Tensor], values: Tensors
) -> Tensors:
    """`values`, which no step gets if labels are not whole numbers from 0 to the outputs less one.

    Args:
      algorithm: how a task is learned.
      network: the model and its loss; nothing is checked unless it wants labels.
      labels: the labels by their name.
      values: what to give back, a structure of tensors.
    """
    checks = [require(*wanted) for wanted in _wanted_of_labels(algorithm, network, labels)]
    # The loss would fail at such a label as well, and whichever came first would be told.
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.nest.map_structure(tf.identity, values)


def with_finite_examples(loss: Tensor, x: dict[str, Tensors], y: Tensors, values: Tensors) -> Any:
    """`values`, which no step gets if the loss is not finite because the examples are not.

    The examples are looked at only then: that costs nothing otherwise, and a model that
    deals with NaN by itself may have them.
    """

    def look() -> Tensor:
        sets = {**{name: x[name] for name in BATCH_KEYS}, "query_y": y}
        checks = [
            require(
                tf.math.is_finite(t),
                f"`{name}` must be finite. Received: values that are nan or infinite, and so is "
                "the loss. Remove or replace them.",
            )
            for name, tensors in sets.items()
            for t in tf.nest.flatten(tensors)
            if t.dtype.is_floating
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):
            return tf.constant(True)

    looked = tf.cond(tf.reduce_all(tf.math.is_finite(loss)), lambda: tf.constant(True), look)
    with tf.control_dependencies([looked]):
        return tf.nest.map_structure(tf.identity, values)


def looks_right(
    algorithm: Algorithm, network: Network, x: dict[str, Tensors], y: Tensors
) -> Tensor:
    """Whether `with_right_labels` and `with_finite_examples` would find nothing in a batch.

    For a program of XLA, in which no assertion is heard.
    """
    labels = _wanted_of_labels(algorithm, network, labels_of(x, y))
    floats = [t for t in tf.nest.flatten((x, y)) if t.dtype.is_floating]
    right = [*(right for right, _ in labels), *(tf.math.is_finite(t) for t in floats)]
    return tf.reduce_all([tf.reduce_all(r) for r in right])


def labels_of(x: dict[str, Tensors], y: Tensors) -> dict[str, Tensor]:
    """The targets of a batch by their names."""
    return {"support_y": x["support_y"], "query_y": y}


def checked_call(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of `keras.Model` that takes batches, with errors of one sentence.

    Arrays are looked at before Keras cuts them into batches. Errors of an assertion come
    without the page on the graph in which it was. After an error the step is traced anew: Keras
    would go on with one that has been traced half-way, and fail at right batches too.
    """

    @functools.wraps(method)
    def call(self: Any, x: Any = None, *others: Any, **options: Any) -> Any:
        y = others[0] if others else options.get("y")
        if isinstance(x, dict) and not isinstance(y, dict):
            check_batch(self.algorithm, self.network, x, y)
        try:
            return method(self, x, *others, **options)
        except Exception as error:
            self.train_function = self.test_function = self.predict_function = None
            if not isinstance(error, tf.errors.InvalidArgumentError):
                raise
            found = re.search(r"assertion failed: \[(`.*?\.)\]", str(error), re.DOTALL)
            if found is None:
                raise
            sentence = found[1]
        raise ValueError(sentence)

    return call


def _wanted_of_labels(
    algorithm: Algorithm, network: Network, labels: dict[str, Tensor]
) -> list[tuple[Tensor, str]]:
    """What must be true of labels, if they are any, each with what to say otherwise."""
    if not wants_labels(algorithm, network):
        return []
    outputs, found = outputs_of(algorithm, network), []
    ignored = ignored_class(network.loss)
    for name, given in labels.items():
        y = tf.cast(given, tf.int32) if given.dtype == tf.bool else given
        if ignored is not None:
            # As floats: an unsigned -1 would be 255.
            y = tf.where(tf.cast(y, tf.float32) == float(ignored), tf.zeros_like(y), y)
        wanted = f"`{name}` must hold class numbers 0, 1, 2 ..."
        found.append((y >= 0, f"{wanted} Received: negative ones. Number them from 0."))
        if y.dtype.is_floating:
            found.append((y == tf.floor(y), f"{wanted} Received: fractions."))
        if outputs is not None:
            message = (
                f"{wanted} below {outputs}, as many as there are outputs (or `ways`). Received: "
                "higher ones. Number the classes of each task from 0, or take more outputs."
            )
            found.append((y < tf.cast(outputs, y.dtype), message))
    return found
