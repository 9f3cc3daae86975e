"""Conditions on values that are known only when a step runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor, Tensors


def require(right: Tensor, *message: str | Tensor) -> Any:
    """Raises ValueError with a message unless all of `right` is true.

    In a compiled step, it is an assertion, which must be made a control dependency;
    `checked_call` converts its error back into the message. In eager mode, there is nothing to
    depend on.

    Args:
      right: booleans of any shape.
      *message: the parts of the error message: strings, and whole numbers that are known only
        when the step runs. It begins with `argument` and ends with a full stop.

    Returns:
      The assertion, or None.
    """
    if tf.executing_eagerly():
        if not bool(tf.reduce_all(right)):
            raise ValueError("".join(p if isinstance(p, str) else str(int(p)) for p in message))
        return None
    # For numbers of other types, TensorFlow makes a branch, which exports cannot contain.
    parts = [p if isinstance(p, str) else tf.cast(p, tf.int32) for p in message]
    return tf.debugging.Assert(tf.reduce_all(right), parts)


def unless(right: Tensor, explain: Callable[..., Any], *values: Tensors) -> Any:
    """Calls `explain(*values)`, which raises ValueError, unless `right` is true.

    In a compiled step, too, `explain` runs in Python, so that finding out what is wrong takes no
    operations in the step. Neither exports nor XLA programs can contain it.

    Returns:
      As `require`.
    """
    if tf.executing_eagerly():
        return None if right else explain(*values)

    def explain_flat(*flat: Tensor) -> bool:
        explain(*tf.nest.pack_sequence_as(values, flat))
        return True

    return tf.cond(
        right,
        lambda: tf.constant(True),
        lambda: tf.py_function(explain_flat, tf.nest.flatten(values), tf.bool),
    )


def after(checks: list[Any], values: Tensors) -> Tensors:
    """Returns `values`, after the checks from `require` and `unless` have passed."""
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.nest.map_structure(tf.identity, values)


def required(error: Exception) -> str | None:
    """The message of a failed `require` or `unless` in a compiled step; None for other errors."""
    explained = re.search(r"Error: (`.*?\.)\nTraceback", str(error), re.DOTALL)
    if explained:
        return explained[1]
    found = re.search(r"assertion failed: \[(`.*?\.)\]", str(error), re.DOTALL)
    if found is None:
        return None
    return found[1].replace("] [", "").replace("\\'", "'")  # undoes TensorFlow's formatting
