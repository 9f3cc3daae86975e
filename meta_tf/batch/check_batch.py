"""Checks of batches and sets of examples, so that a wrong one is named at the door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors

BATCH_KEYS = ("support_x", "support_y", "query_x")


def check_batch(algorithm: Algorithm, network: Network, x: Any, y: Any = None) -> None:
    """Raises ValueError unless `x` (and `y`) are a batch of tasks for the model and algorithm.

    Only what is known before anything runs is looked at: names and shapes.
    """
    if not isinstance(x, dict) or not set(BATCH_KEYS) <= set(x):
        got = sorted(x) if isinstance(x, dict) else type(x).__name__
        raise ValueError(
            'A batch must be (x, y) with x = {"support_x": [T, S, ...], "support_y": [T, S, ...], '
            f'"query_x": [T, Q, ...]}} and y = query_y [T, Q, ...]. Received as x: {got}.'
        )
    sets = {"support_x": x["support_x"], "support_y": x["support_y"], "query_x": x["query_x"]}
    if y is not None:
        sets["query_y"] = y
    shapes = {name: keras.tree.flatten(value)[0].shape for name, value in sets.items()}
    for name, shape in shapes.items():
        if len(shape) < 2:
            raise ValueError(
                f"`{name}` must have a tasks axis and an examples axis in front, [T, S, ...]. "
                f"Received: shape {tuple(shape)}. For a single task, add the axis "
                f"({name}[None]), or call learner.adapt(support_x, support_y)."
            )
    for one, other, axis, what in (
        ("support_x", "query_x", 0, "tasks (axis 0)"),
        ("support_x", "support_y", 0, "tasks (axis 0)"),
        ("support_x", "support_y", 1, "support examples (axis 1)"),
        ("query_x", "query_y", 0, "tasks (axis 0)"),
        ("query_x", "query_y", 1, "query examples (axis 1)"),
    ):
        if other in shapes and _differ(shapes[one][axis], shapes[other][axis]):
            raise ValueError(
                f"`{one}` and `{other}` must agree in the number of {what}. Received: shapes "
                f"{tuple(shapes[one])} and {tuple(shapes[other])}."
            )
    for name in ("support_x", "query_x"):
        _check_inputs(algorithm, network, name, x[name], axes=2)


def check_support(
    algorithm: Algorithm, network: Network, support_x: Any, support_y: Any
) -> Examples:
    """Returns the support set of one task as tensors, or raises ValueError."""
    declared = algorithm.input_spec(network)
    x, y = _inputs(declared, "support_x", support_x), _tensor("support_y")(support_y)
    _check_inputs(algorithm, network, "support_x", x, axes=1)
    size, targets = keras.tree.flatten(x)[0].shape[0], y.shape
    if not targets or targets[0] != size or not size:
        raise ValueError(
            "`support_x` and `support_y` must hold the same number of examples, at least one. "
            f"Received: {size} in `support_x` and shape {tuple(targets)} of `support_y`."
        )
    if _wants_labels(algorithm, network):
        check_labels(algorithm, network, "support_y", y)
    return Examples(x, y)


def check_labels(algorithm: Algorithm, network: Network, name: str, labels: Any) -> None:
    """Raises ValueError unless the labels are whole numbers from 0 to the outputs less one.

    The outputs are the model's, unless the algorithm has `ways` of its own.
    """
    ways, outputs = algorithm.prediction_size(network), _outputs(algorithm, network)
    values = np.asarray(labels)
    if not np.all(values == np.floor(values)) or values.min() < 0:
        raise ValueError(f"`{name}` must hold class numbers 0, 1, 2 ... Received: {values!r}.")
    if outputs is not None and values.max() >= outputs:
        raise ValueError(
            f"`{name}` must hold class numbers below {outputs}, the number of the "
            + ("model's outputs. " if ways is None else "algorithm's `ways`. ")
            + f"Received: a largest label of {values.max()}. Number the classes of each task from "
            f"0, or {'build the model with more outputs' if ways is None else 'give it more ways'}."
        )


def with_right_labels(algorithm: Algorithm, network: Network, x: Any, y: Any) -> tuple[Any, Any]:
    """The parts of a batch, which no step gets if its labels are not as `check_labels` wants them.

    Unlike that, it works within a compiled step, where values are not known beforehand.
    """
    if not _wants_labels(algorithm, network):
        return x, y
    outputs, checks = _outputs(algorithm, network), []
    for name, labels in (("support_y", x["support_y"]), ("query_y", y)):
        wanted = f"`{name}` must hold class numbers 0, 1, 2 ..."
        checks.append(tf.debugging.assert_non_negative(labels, f"{wanted} It holds negative ones."))
        if outputs is not None:
            checks.append(
                tf.debugging.assert_less(
                    labels,
                    tf.cast(outputs, labels.dtype),
                    f"{wanted} below {outputs}, as many as there are outputs (or `ways`). Number "
                    "the classes of each task from 0, or take more outputs.",
                )
            )
    # The loss would fail at such a label as well, and whichever came first would be told.
    with tf.control_dependencies(checks):
        return tf.nest.map_structure(tf.identity, (x, y))


def _wants_labels(algorithm: Algorithm, network: Network) -> bool:
    loss = network.loss
    return (
        algorithm.prediction_size(network) is not None
        or isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        or loss is keras.losses.sparse_categorical_crossentropy
    )


def _outputs(algorithm: Algorithm, network: Network) -> int | None:
    size = algorithm.prediction_size(network)
    return getattr(network.model, "output_shape", [None])[-1] if size is None else size


def _check_inputs(
    algorithm: Algorithm, network: Network, name: str, value: Tensors, axes: int
) -> None:
    """Compares with the input shapes that a Functional or Sequential model declares."""
    spec = algorithm.input_spec(network)
    if spec is None:
        return
    declared = [tuple(t.shape) for t in keras.tree.flatten(spec)]
    given = [tuple(t.shape) for t in keras.tree.flatten(value)]
    if len(given) != len(declared):
        raise ValueError(
            f"`{name}` must have the structure of the model's {len(declared)} inputs. "
            f"Received: {len(given)} tensors."
        )
    front = "[T, S, ...]" if axes == 2 else "[S, ...], without a tasks axis"
    for one, wanted in zip(given, declared, strict=True):
        rest = one[axes:]
        if len(rest) != len(wanted) - 1 or any(map(_differ, rest, wanted[1:])):
            raise ValueError(
                f"`{name}` must be {front}, of examples of shape {wanted[1:]} as the model "
                f"{network.model.name!r} takes them. Received: shape {one}."
            )


def _inputs(declared: Tensors | None, name: str, value: Any) -> Tensors:
    """As tensors. A list is one of numbers, unless the model has several inputs."""
    several = isinstance(value, dict) or len(keras.tree.flatten(declared)) > 1
    if declared is None and isinstance(value, list | tuple):
        several = all(hasattr(part, "shape") for part in value)
    return keras.tree.map_structure(_tensor(name), value) if several else _tensor(name)(value)


def _tensor(name: str) -> Callable[[Any], Tensor]:
    def convert(value: Any) -> Tensor:
        try:
            tensor = tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`{name}` must be numbers of one shape. Received: {type(value).__name__}. {error}"
            ) from error
        if tensor.dtype == tf.float64 and keras.config.floatx() != "float64":
            tensor = tf.cast(tensor, keras.config.floatx())
        if tensor.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(tensor))):
            raise ValueError(
                f"`{name}` must be finite. Received: values that are nan or infinite. "
                "Remove or replace them before adapting."
            )
        return tensor

    return convert


def _differ(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one != other
