"""Checks values, which are known only when a step runs, and converts errors in `fit`.

In eager mode, the checks raise ValueError. In a compiled step they are assertions, and
`checked_call` converts their errors back into one sentence.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.batch.exact_steps import check_numbers
from meta_tf.batch.sizes import blank_padding, sizes_in
from meta_tf.data_checks.batch import BATCH_KEYS, check_batch
from meta_tf.data_checks.finite import as_error, require_finite
from meta_tf.data_checks.inputs import wanted_of_ranges
from meta_tf.data_checks.outputs import outputs_of, wants_labels
from meta_tf.data_checks.targets import (
    LEAST_PROBABLE,
    MOST_PROBABLE,
    PROBABILITIES,
    check_target_values,
)
from meta_tf.network.finite import all_finite
from meta_tf.network.losses import compares_probabilities, ignored_class
from meta_tf.network.network import Network
from meta_tf.require import after, require, required, unless
from meta_tf.types import Tensor, Tensors

# Types that are checked before Keras gets them. Keras iterates over all others.
_NO_DATASETS = (dict, list, tuple, str, bytes, float, int, np.ndarray, tf.Tensor, type(None))


def with_right_targets(
    algorithm: Algorithm, network: Network, targets: dict[str, Tensor], values: Tensors
) -> Tensors:
    """Returns `values`, and fails if targets, by name, are not the labels that the loss takes.

    Likewise if they are not the probabilities that it takes.
    """
    if tf.executing_eagerly():
        for name, y in targets.items():
            check_target_values(algorithm, network, name, y)
        return values
    outputs = outputs_of(algorithm, network)
    wanted = "class numbers 0, 1, 2 ..." if outputs is None else f"class numbers below {outputs}"
    cure = "Number each task's classes from 0, without fractions, or add outputs (or `ways`)."
    if not wants_labels(algorithm, network):
        wanted, cure = PROBABILITIES, "Scale them, or use another loss."
    checks = [
        require(
            right,
            f"`{name}` must hold {wanted}. Received: numbers from ",
            tf.reduce_min(tf.cast(targets[name], tf.float32)),
            " to ",
            tf.reduce_max(tf.cast(targets[name], tf.float32)),
            f". {cure}",
        )
        for name, right in _are_right(algorithm, network, targets).items()
    ]
    # The loss would fail for such a label too, and either error could come first.
    return after(checks, values)


def right_batch(
    algorithm: Algorithm, network: Network, x: Any, y: Any = None, first: int = 0
) -> dict[str, Tensors]:
    """The sets and sizes of a valid batch, as tensors with zeros for padding; targets: `query_y`.

    Raises ValueError if it is not a batch of tasks for the model, or has invalid values. Messages
    count its tasks from `first`.
    """
    return _right(algorithm, network, tensors_of(algorithm, network, x, y), first)


def right_batch_in_fit(
    algorithm: Algorithm, network: Network, x: Any, y: Any
) -> dict[str, Tensors]:
    """As `right_batch`, in fewer operations, which cannot be exported."""
    sets = tensors_of(algorithm, network, x, y)
    targets = _are_right(algorithm, network, _targets_of(sets))
    right = tf.reduce_all([all_finite(sets), *targets.values()])
    return after([unless(right, lambda sets: _right(algorithm, network, sets), sets)], sets)


def tensors_of(algorithm: Algorithm, network: Network, x: Any, y: Any = None) -> dict[str, Tensors]:
    """As `right_batch`, but values may be invalid."""
    check_batch(algorithm, network, x, y)
    sets = {name: x[name] for name in (*BATCH_KEYS, *sizes_in(x))}
    if y is not None:
        sets["query_y"] = y
    return blank_padding(tf.nest.map_structure(tf.convert_to_tensor, sets))


def _right(
    algorithm: Algorithm, network: Network, sets: dict[str, Tensors], first: int = 0
) -> dict[str, Tensors]:
    sets = after([require_finite(sets, axes=2, first=first)], sets)  # a label can be NaN too
    return with_right_targets(algorithm, network, _targets_of(sets), sets)


def looks_right(
    algorithm: Algorithm, network: Network, x: dict[str, Tensors], y: Tensors
) -> Tensor:
    """Whether `right_batch` accepts the values of a batch.

    For XLA programs, in which assertions have no effect.
    """
    targets = _are_right(algorithm, network, _targets_of({**x, "query_y": y}))
    spec = algorithm.input_spec(network)
    ranges = [
        tf.reduce_all(right)
        for name in ("support_x", "query_x")
        for right, _ in wanted_of_ranges(network, name, x[name], spec)
    ]
    return tf.reduce_all([all_finite((x, y)), *targets.values(), *ranges])


def checked_call(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of `keras.Model` that takes batches, with one-sentence errors.

    It passes all arguments by name, and checks arrays before Keras splits them into batches. From
    errors of assertions, it removes the page about the graph. After an error, the step is traced
    again: otherwise Keras would continue with a partly traced step, and fail for valid batches too.
    """
    signature = inspect.signature(getattr(keras.Model, method.__name__))

    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        given = signature.bind(self, *args, **options).arguments
        del given["self"]
        given |= given.pop("kwargs", {})  # those that Keras itself passes
        check_numbers(given)
        for name in ("class_weight", "sample_weight"):
            if given.get(name) is not None:
                raise no_weights(f"`{name}`")
        x, y = given.get("x"), given.get("y")
        if isinstance(x, _NO_DATASETS) and not isinstance(y, dict):
            check_batch(self.algorithm, self.network, x, y)
        try:
            return method(self, **given)
        except Exception as error:
            forget_functions(self)
            message = required(error) if isinstance(error, tf.errors.InvalidArgumentError) else None
            if message is None:
                raise
        raise as_error(message)

    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def no_weights(received: str) -> ValueError:
    """The error for weights of tasks."""
    return ValueError(
        "`sample_weight` and `class_weight` are not supported: all tasks have the same weight. "
        f"Received: {received}. Leave it out."
    )


def forget_functions(model: Any) -> None:
    """Removes the compiled steps of a Keras model, which makes them again when it needs them."""
    model.train_function = model.test_function = model.predict_function = None


def _targets_of(sets: dict[str, Tensors]) -> dict[str, Tensor]:
    return {name: sets[name] for name in ("support_y", "query_y") if name in sets}


def _are_right(
    algorithm: Algorithm, network: Network, targets: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Whether all targets are labels or probabilities, by name; empty if any numbers are right."""
    if wants_labels(algorithm, network):
        outputs, ignored = outputs_of(algorithm, network), ignored_class(network.loss)
        return {name: _are_labels(y, outputs, ignored) for name, y in targets.items()}
    if compares_probabilities(network.loss):
        floats = {name: tf.cast(y, tf.float32) for name, y in targets.items()}
        return {
            name: tf.reduce_all((y >= LEAST_PROBABLE) & (y <= MOST_PROBABLE))
            for name, y in floats.items()
        }
    return {}


def _are_labels(given: Tensor, outputs: int | None, ignored: int | None) -> Tensor:
    """Whether all are class numbers for the outputs."""
    y = tf.cast(given, tf.int32) if given.dtype == tf.bool else given
    if ignored is not None:
        # As floats: as an unsigned integer, -1 would be 255.
        y = tf.where(tf.cast(y, tf.float32) == float(ignored), tf.zeros_like(y), y)
    right = y >= 0
    if y.dtype.is_floating:
        right &= y == tf.floor(y)
    if outputs is not None:
        right &= y < tf.cast(outputs, y.dtype)
    return tf.reduce_all(right)
