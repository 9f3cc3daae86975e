"""The gradients of convolutions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import refuse, rule
from meta_tf.export.lowering.windows import windows_of
from meta_tf.types import Tensor


@rule("Conv2DBackpropFilter")
def by_the_kernel(op: tf.Operation, x: Tensor, shape: Tensor, g: Tensor) -> list[Any]:
    """The gradient of the kernel, as matrix products of all windows and g.

    Written as a convolution of x with g, the LiteRT converter would mistake it for another
    convolution and silently give wrong results.
    """
    height, width, channels, filters = _kernel_shape(op, shape)
    groups = x.shape[-1] // channels
    windows = windows_of(op, (height, width), x.shape[1:3], g.shape[1:3])
    parts = []
    for x_part, g_part in zip(_split(x, groups), _split(g, groups), strict=True):
        seen = tf.concat(windows.of(x_part), -1)
        product = tf.matmul(
            tf.reshape(seen, [-1, height * width * channels]),
            tf.reshape(g_part, [-1, filters // groups]),
            transpose_a=True,
        )
        parts.append(tf.reshape(product, [height, width, channels, filters // groups]))
    return [parts[0] if groups == 1 else tf.concat(parts, -1)]


@rule("Conv2DBackpropInput")
def by_the_input(op: tf.Operation, shape: Tensor, kernel: Tensor, g: Tensor) -> list[Any]:
    """Unchanged, except that groups are computed one by one."""
    channels = op.outputs[0].shape[-1]
    groups = 1 if channels is None else channels // kernel.shape[2]
    shape = shape if groups == 1 else tf.concat([shape[:3], [channels // groups]], 0)
    settings = {
        name: op.get_attr(name)
        for name in ("strides", "use_cudnn_on_gpu", "explicit_paddings", "dilations")
    }
    parts = [
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=shape,
            filter=kernel_part,
            out_backprop=g_part,
            padding=op.get_attr("padding").decode(),
            data_format=op.get_attr("data_format").decode(),
            **settings,
        )
        for kernel_part, g_part in zip(_split(kernel, groups), _split(g, groups), strict=True)
    ]
    return [parts[0] if groups == 1 else tf.concat(parts, -1)]


@rule("DepthwiseConv2dNativeBackpropFilter")
def by_the_depthwise_kernel(op: tf.Operation, x: Tensor, shape: Tensor, g: Tensor) -> list[Any]:
    """For each position of the kernel, the sum of its inputs times the gradient."""
    height, width, channels, each = _kernel_shape(op, shape)
    windows = windows_of(op, (height, width), x.shape[1:3], g.shape[1:3])
    apart = tf.reshape(g, [-1, *windows.number, channels, each])
    sums = [tf.reduce_sum(seen[..., None] * apart, [0, 1, 2]) for seen in windows.of(x)]
    return [tf.reshape(tf.stack(sums), [height, width, channels, each])]


@rule("DepthwiseConv2dNativeBackpropInput")
def by_the_depthwise_input(op: tf.Operation, shape: Tensor, kernel: Tensor, g: Tensor) -> list[Any]:
    """The gradient times each position of the kernel, added to the pixels that it read."""
    height, width, channels, each = kernel.shape
    image = tf.get_static_value(shape, partial=True)
    image = op.outputs[0].shape[1:3] if image is None else tuple(image[1:3])
    windows = windows_of(op, (height, width), image, g.shape[1:3])
    apart = tf.reshape(g, [-1, *windows.number, channels, each])
    parts = [tf.reduce_sum(apart * kernel[i, j], -1) for i in range(height) for j in range(width)]
    return [windows.put_back(parts)]


def _kernel_shape(op: tf.Operation, shape: Tensor) -> list[int]:
    """The kernel's four sizes, from the shape input or from the graph."""
    known = tf.get_static_value(shape)
    if known is not None:
        return [int(size) for size in known]
    static = op.outputs[0].shape
    if static.rank is None or None in static.as_list():
        refuse(op, "the shape of its kernel is not known, as in a grouped convolution.")
    return static.as_list()


def _split(t: Tensor, groups: int) -> list[Tensor]:
    """Splits the channels into equal parts."""
    return [t] if groups == 1 else tf.split(t, groups, -1)
