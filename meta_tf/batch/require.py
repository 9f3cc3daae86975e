"""What must be true of values that are known only while a step runs."""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor, Tensors


def require(right: Tensor, *message: str | Tensor) -> Any:
    """Raises ValueError with a message unless all of `right` is true.

    Within a compiled step it is an assertion, which has to be made a control dependency;
    `checked_call` turns its error back into the message. Eagerly nothing is left to depend on.

    Args:
      right: booleans of any shape.
      *message: what to say otherwise, in parts: texts, and whole numbers that are known only
        then. It begins with `argument` and ends in a full stop.

    Returns:
      The assertion, or None.
    """
    if tf.executing_eagerly():
        if not bool(tf.reduce_all(right)):
            raise ValueError("".join(p if isinstance(p, str) else str(int(p)) for p in message))
        return None
    return tf.debugging.Assert(tf.reduce_all(right), list(message))


def after(checks: list[Any], values: Tensors) -> Tensors:
    """`values`, which no step gets before the checks, those of `require`, have passed."""
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.nest.map_structure(tf.identity, values)


def required(error: Exception) -> str | None:
    """The message of an assertion of `require` that failed; None for another error."""
    found = re.search(r"assertion failed: \[(`.*?\.)\]", str(error), re.DOTALL)
    if found is None:
        return None
    return found[1].replace("] [", "").replace("\\'", "'")  # as TensorFlow writes parts, and quotes
