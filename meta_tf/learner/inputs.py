"""Converts the inputs of one task to tensors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.types import Tensor


def as_input(value: Any) -> Tensor:
    """Converts as Keras does in a call: floats of any size to its own float type."""
    tensor = tf.convert_to_tensor(value)
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor


def number_of(x: Any) -> int | None:
    """The number of examples in arrays; None if `x` is something else, or if they differ."""
    arrays = keras.tree.flatten(x)
    if not all(isinstance(a, np.ndarray | tf.Tensor) and len(a.shape) for a in arrays):
        return None
    sizes = {int(a.shape[0]) for a in arrays}
    return sizes.pop() if len(sizes) == 1 else None
