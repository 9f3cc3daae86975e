"""Checks batches and sets of examples early, with clear errors."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.batch.sizes import SIZE_KEYS, check_sizes
from meta_tf.checks import are_objects, check_no_objects, check_unmasked, without_objects
from meta_tf.data_checks.finite import require_finite
from meta_tf.data_checks.inputs import check_input_types, wanted_of_ranges
from meta_tf.data_checks.targets import check_target_values, check_targets, differ
from meta_tf.network.network import Network
from meta_tf.require import require
from meta_tf.types import Examples, Tensor, Tensors

BATCH_KEYS = ("support_x", "support_y", "query_x")


def check_batch(algorithm: Algorithm, network: Network, x: Any, y: Any = None) -> None:
    """Raises ValueError unless `x` (and `y`) are a batch of tasks for the model and algorithm.

    Checks names and shapes, and the range of values if the model shows which range it takes.
    """
    if not isinstance(x, dict) or not set(BATCH_KEYS) <= set(x):
        got = sorted(x) if isinstance(x, dict) else type(x).__name__
        raise ValueError(
            'A batch must be (x, y) with x = {"support_x": [T, S, ...], "support_y": [T, S, ...], '
            f'"query_x": [T, Q, ...]}} and y = query_y [T, Q, ...]. Received as x: {got}.'
        )
    for key in set(x) - {*BATCH_KEYS, *SIZE_KEYS}:
        nearest = difflib.get_close_matches(str(key), (*BATCH_KEYS, *SIZE_KEYS), 1)
        raise ValueError(
            f"A batch must have no keys except {', '.join((*BATCH_KEYS, *SIZE_KEYS))}. Received: "
            f"{key!r}. {f'Did you mean {nearest[0]!r}?' if nearest else 'Leave it out.'}"
        )
    sets = {"support_x": x["support_x"], "support_y": x["support_y"], "query_x": x["query_x"]}
    if y is not None:
        sets["query_y"] = y
    for name, value in sets.items():
        check_no_objects(name, value)
    shapes = {name: _shape(name, value) for name, value in sets.items()}
    check_sizes(x)
    for name, shape in shapes.items():
        if len(shape) < 2:
            raise ValueError(
                f"`{name}` must begin with a task axis and an example axis, [T, S, ...]. "
                f"Received: shape {tuple(shape)}. For a single task, add the axis "
                f"({name}[None]), or call learner.adapt(support_x, support_y)."
            )
        if 0 in shape[:2]:
            raise ValueError(
                f"`{name}` must hold at least one task of at least one example. Received: shape "
                f"{tuple(shape)}. Remove empty batches and sets."
            )
    for one, other, axis, what in (
        ("support_x", "query_x", 0, "tasks (axis 0)"),
        ("support_x", "support_y", 0, "tasks (axis 0)"),
        ("support_x", "support_y", 1, "support examples (axis 1)"),
        ("query_x", "query_y", 0, "tasks (axis 0)"),
        ("query_x", "query_y", 1, "query examples (axis 1)"),
    ):
        if other in shapes and differ(shapes[one][axis], shapes[other][axis]):
            raise ValueError(
                f"`{one}` and `{other}` must have the same number of {what}. Received: shapes "
                f"{tuple(shapes[one])} and {tuple(shapes[other])}."
            )
    for name in ("support_x", "query_x"):
        check_inputs(algorithm, network, name, x[name], axes=2)
        check_ranges(algorithm, network, name, x[name])
    for name in ("support_y", "query_y"):
        if hasattr(sets.get(name), "dtype"):
            check_targets(algorithm, network, name, shapes[name], sets[name].dtype, axes=2)


def check_support(
    algorithm: Algorithm, network: Network, support_x: Any, support_y: Any
) -> Examples:
    """Returns the support set of one task as tensors, or raises ValueError."""
    declared = algorithm.input_spec(network)
    x, y = _inputs(declared, "support_x", support_x), _tensor("support_y")(support_y)
    check_inputs(algorithm, network, "support_x", x, axes=1)
    check_ranges(algorithm, network, "support_x", x, in_steps=False)
    size, targets = keras.tree.flatten(x)[0].shape[0], tuple(y.shape)
    if not targets or targets[0] != size or not size:
        raise ValueError(
            "`support_x` and `support_y` must hold the same number of examples, at least one. "
            f"Received: {size} in `support_x` and shape {targets} of `support_y`."
        )
    check_targets(algorithm, network, "support_y", targets, y.dtype, axes=1)
    require_finite({"support_x": x, "support_y": y}, axes=1)
    check_target_values(algorithm, network, "support_y", y)
    return Examples(x, y)


def right_inputs(algorithm: Algorithm, network: Network, name: str, x: Any) -> Tensors:
    """Returns inputs [B, ...] as tensors, in Keras's float type, or raises ValueError."""

    def convert(value: Any) -> Tensor:
        tensor = _tensor(name)(value)
        return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor

    x = keras.tree.map_structure(convert, x)
    check_inputs(algorithm, network, name, x, axes=1)
    require_finite({name: x}, axes=1)
    return x


def check_inputs(
    algorithm: Algorithm, network: Network, name: str, value: Tensors, axes: int
) -> None:
    """Raises ValueError unless inputs match those that a Functional or Sequential model declares.

    `axes` is 2 for a batch [T, S, ...], 1 for a single task [S, ...].
    """
    spec = algorithm.input_spec(network)
    if spec is None:
        return
    check_input_types(network, name, value, spec)
    declared = [tuple(t.shape) for t in keras.tree.flatten(spec)]
    given = [tuple(t.shape) for t in keras.tree.flatten(value)]
    named = isinstance(spec, dict)
    keys = set(value) if isinstance(value, dict) else set()
    if len(given) != len(declared) or (named and keys != set(spec)):
        inputs = f"{len(declared)} tensors"
        if named:
            inputs = f"a dict of {', '.join(map(repr, sorted(spec)))}"
        received = f"a dict of {', '.join(map(repr, sorted(keys)))}" if keys else "no dict"
        raise ValueError(
            f"`{name}` must have the structure of the model's inputs: {inputs}. Received: "
            f"{received if named else f'{len(given)} tensors'}."
        )
    front = "[T, S, ...]" if axes == 2 else "[S, ...], without a task axis"
    for one, wanted in zip(given, declared, strict=True):
        rest = one[axes:]
        if len(rest) != len(wanted) - 1 or any(map(differ, rest, wanted[1:])):
            raise ValueError(
                f"`{name}` must be {front}, with examples of shape {wanted[1:]}, as the model "
                f"{network.model.name!r} takes them. Received: shape {one}."
            )


def check_ranges(
    algorithm: Algorithm, network: Network, name: str, value: Tensors, in_steps: bool = True
) -> None:
    """Raises ValueError if values are scaled and the model scales too; an assertion in a graph."""
    for wanted in wanted_of_ranges(network, name, value, algorithm.input_spec(network), in_steps):
        require(*wanted)


def _shape(name: str, value: Any) -> Any:
    """The shape of the first tensor of a structure."""
    first: Any = next(iter(keras.tree.flatten(value)), None)
    if not hasattr(first, "shape"):
        raise ValueError(
            f"`{name}` must be an array or a tensor, or a structure of them. Received: "
            f"{type(value).__name__}. Convert it with np.array."
        )
    return first.shape


def _inputs(declared: Tensors | None, name: str, value: Any) -> Tensors:
    """Inputs as tensors. A list is a list of numbers, unless the model has several inputs."""
    several = isinstance(value, dict) or len(keras.tree.flatten(declared)) > 1
    if declared is None and isinstance(value, list | tuple):
        several = all(hasattr(part, "shape") for part in value)
    return keras.tree.map_structure(_tensor(name), value) if several else _tensor(name)(value)


def _tensor(name: str) -> Callable[[Any], Tensor]:
    def convert(value: Any) -> Tensor:
        check_unmasked(name, value)
        try:
            tensor = tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            if hasattr(value, "to_numpy"):  # a table
                value = value.to_numpy()
            if are_objects(value):
                plain = without_objects(value)
                check_no_objects(name, plain)
                return convert(plain)
            first = next(iter(keras.tree.flatten(value)), None)
            if type(first).__module__.startswith("PIL."):
                raise ValueError(
                    f"`{name}` must be numbers. Received: pictures ({type(first).__name__}). Make "
                    "an array of them, scaled as in training: "
                    "np.stack([np.asarray(p) / 255 for p in pictures])."
                ) from None
            raise ValueError(
                f"`{name}` must be numbers of one shape. Received: {type(value).__name__}. {error}"
            ) from error
        if tensor.dtype == tf.float64 and keras.config.floatx() != "float64":
            tensor = tf.cast(tensor, keras.config.floatx())
        return tensor

    return convert
