"""The registry of rules: what an operation of TensorFlow is written as instead."""

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
    """Registers a rule for operations of these kinds.

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
    """Raises Refused, naming the operation and with it the layer that it belongs to."""
    raise Refused(f"the operation {op.type} of {op.name!r} cannot be written down: {why}")


def need(op: tf.Operation, attribute: str, value: Any) -> None:
    """Refuses an operation unless an attribute has the one value that the rule is made for."""
    found = op.get_attr(attribute)
    if found != value:
        refuse(op, f"its {attribute} is {found!r}, and only {value!r} can be.")


def known_shape(op: tf.Operation, t: Any) -> list[int]:
    """The shape of a tensor whose every size must be known."""
    if t.shape.rank is None or None in t.shape.as_list():
        refuse(op, f"it needs a known size, and this one is {t.shape}. Export for fixed sizes.")
    return t.shape.as_list()


def sizes(t: Tensor) -> list[Any]:
    """The shape of a tensor as numbers, and as tensors where they are known at run time only."""
    static = t.shape.as_list()
    if None not in static:
        return static
    dynamic = tf.shape(t)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]
