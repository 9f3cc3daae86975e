"""The gradients of max- and average pooling."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import rule
from meta_tf.export.lowering.windows import covered, windows_of
from meta_tf.types import Tensor

_BELOW_ALL = -3e38


@rule("MaxPoolGrad")
def max_pool(op: tf.Operation, x: Tensor, y: Tensor, g: Tensor) -> list[Any]:
    """The first maximum of a window gets all of its gradient, as in TensorFlow."""
    windows = windows_of(op, op.get_attr("ksize")[1:3], x.shape[1:3], y.shape[1:3])
    free, parts = tf.ones_like(y), []
    for seen in windows.of(x, _BELOW_ALL):
        hit = tf.cast(tf.equal(seen, y), y.dtype) * free
        free -= hit
        parts.append(g * hit)
    return [windows.put_back(parts)]


@rule("AvgPoolGrad")
def average_pool(op: tf.Operation, shape: Tensor, g: Tensor) -> list[Any]:
    """Every pixel of a window gets an equal share of its gradient."""
    image = tf.get_static_value(shape, partial=True)
    image = op.outputs[0].shape[1:3] if image is None else tuple(image[1:3])
    windows = windows_of(op, op.get_attr("ksize")[1:3], image, g.shape[1:3])
    share = g / covered(windows)
    return [windows.put_back([share] * len(windows.places))]
