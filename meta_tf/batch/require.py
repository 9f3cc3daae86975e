"""What must be true of values that are known only while a step runs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor


def require(right: Tensor, message: str) -> Any:
    """Raises ValueError with a message unless all of `right` is true.

    Within a compiled step it is an assertion, which has to be made a control dependency;
    `checked_call` turns its error back into the message. Eagerly nothing is left to depend on.

    Args:
      right: booleans of any shape.
      message: what to say otherwise: `argument` first, one sentence or more.

    Returns:
      The assertion, or None.
    """
    if tf.executing_eagerly():
        if not bool(tf.reduce_all(right)):
            raise ValueError(message)
        return None
    return tf.debugging.Assert(tf.reduce_all(right), [message])
