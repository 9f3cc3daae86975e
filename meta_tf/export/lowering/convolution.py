"""The gradients of convolutions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import refuse, rule
from meta_tf.export.lowering.windows import windows_of
from meta_tf.types import Tensor


@rule("Conv2DBackpropFilter")
def by_the_kernel(op: tf.Operation, x: Tensor, shape: Tensor, g: Tensor) -> list[Any]:
    # One product of matrices, all windows by the gradient. As a convolution of x by g, the
    # converter for LiteRT would take it for another one, and be wrong without a word.
    height, width, channels, filters = _kernel_shape(op, shape)
    if x.shape[-1] != channels:
        refuse(op, "it belongs to a convolution in groups.")
    windows = windows_of(op, (height, width), x.shape[1:3], g.shape[1:3])
    seen = tf.reshape(tf.concat(windows.of(x), -1), [-1, height * width * channels])
    flat = tf.reshape(g, [-1, filters])
    product = tf.matmul(seen, flat, transpose_a=True)
    return [tf.reshape(product, [height, width, channels, filters])]


@rule("DepthwiseConv2dNativeBackpropFilter")
def by_the_depthwise_kernel(op: tf.Operation, x: Tensor, shape: Tensor, g: Tensor) -> list[Any]:
    height, width, channels, each = _kernel_shape(op, shape)
    windows = windows_of(op, (height, width), x.shape[1:3], g.shape[1:3])
    apart = tf.reshape(g, [-1, *windows.number, channels, each])
    sums = [tf.reduce_sum(seen[..., None] * apart, [0, 1, 2]) for seen in windows.of(x)]
    return [tf.reshape(tf.stack(sums), [height, width, channels, each])]


@rule("DepthwiseConv2dNativeBackpropInput")
def by_the_depthwise_input(op: tf.Operation, shape: Tensor, kernel: Tensor, g: Tensor) -> list[Any]:
    height, width, channels, each = kernel.shape
    image = tf.get_static_value(shape, partial=True)
    image = op.outputs[0].shape[1:3] if image is None else tuple(image[1:3])
    windows = windows_of(op, (height, width), image, g.shape[1:3])
    apart = tf.reshape(g, [-1, *windows.number, channels, each])
    parts = [tf.reduce_sum(apart * kernel[i, j], -1) for i in range(height) for j in range(width)]
    return [windows.put_back(parts)]


def _kernel_shape(op: tf.Operation, shape: Tensor) -> list[int]:
    """The kernel's four sizes, from the input that says them or from the graph."""
    known = tf.get_static_value(shape)
    if known is not None:
        return [int(size) for size in known]
    static = op.outputs[0].shape
    if static.rank is None or None in static.as_list():
        refuse(op, "the shape of its kernel is not known, as in a convolution in groups.")
    return static.as_list()
