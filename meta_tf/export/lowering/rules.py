"""The registry of rules: replacements for TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import tensorflow as tf

from meta_tf.export.refused import Refused
from meta_tf.types import Tensor

Rule: TypeAlias = Callable[..., list[Any]]
"""`outputs = rule(op, *inputs)`: the old operation, for its attributes, and the new inputs."""

RULES: dict[str, Rule] = {}


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Registers a rule for these kinds of operations.

    Example:
      >>> @rule("Half")
      ... def half(op, x):
      ...     return [0.5 * x]
      >>> RULES.pop("Half") is half
      True
    """

    def register(function: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = function
        return function

    return register


def refuse(op: tf.Operation, why: str) -> NoReturn:
    """Raises Refused with the name of the operation, which includes its layer."""
    raise Refused(f"the operation {op.type} of {op.name!r} cannot be exported: {why}")


def need_channels_last(op: tf.Operation) -> None:
    """Refuses an operation on images whose channels are not their last axis."""
    found = op.get_attr("data_format")
    if found != b"NHWC":
        refuse(op, f"its data_format is {found!r}; only {b'NHWC'!r} is supported.")


def known_shape(op: tf.Operation, t: Any) -> list[int]:
    """The shape of a tensor; all its sizes must be known."""
    if t.shape.rank is None or None in t.shape.as_list():
        refuse(op, f"it needs a known size, but its size is {t.shape}. Export with fixed sizes.")
    return t.shape.as_list()


def sizes(t: Tensor) -> list[Any]:
    """The shape of a tensor as numbers, or as tensors for sizes known only at run time."""
    static = t.shape.as_list()
    if None not in static:
        return static
    dynamic = tf.shape(t)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]
