"""The windows of a convolution or a pooling, as shifted views of the images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering.rules import need_channels_last, refuse, sizes
from meta_tf.types import Tensor


class Windows(NamedTuple):
    """The positions of an operation's windows; each field is a pair (rows, columns).

    `size`: of a window. `number`: of windows. `image`: its size. `before`, `after`: the padding.
    `stride`: from window to window. `dilation`: from pixel to pixel inside a window.
    """

    size: tuple[int, int]
    number: tuple[int, int]
    image: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def places(self) -> list[tuple[int, int]]:
        """The pixels of a window, as offsets from its first pixel."""
        rows, columns = self.size
        return [
            (i * self.dilation[0], j * self.dilation[1])
            for i in range(rows)
            for j in range(columns)
        ]

    def of(self, x: Tensor, padding: float = 0.0) -> list[Tensor]:
        """For each pixel of a window, its values in all windows: [B, *number, C] each."""
        padded = self.pad(x, padding)
        height, width = ((n - 1) * s + 1 for n, s in zip(self.number, self.stride, strict=True))
        return [
            padded[:, i : i + height : self.stride[0], j : j + width : self.stride[1]]
            for i, j in self.places
        ]

    def pad(self, x: Tensor, value: float = 0.0) -> Tensor:
        """The images with their padding."""
        if not any((*self.before, *self.after)):
            return x
        rows, columns = zip(self.before, self.after, strict=True)
        return tf.pad(x, [[0, 0], list(rows), list(columns), [0, 0]], constant_values=value)

    def put_back(self, parts: list[Tensor]) -> Tensor:
        """The transpose of `of`: adds the values at each pixel and drops the padding."""
        height, width = (
            b + n + a for b, n, a in zip(self.before, self.image, self.after, strict=True)
        )
        total: Any = 0
        for (i, j), part in zip(self.places, parts, strict=True):
            apart = self.apart(part)
            below = height - i - apart.shape[1]
            right = width - j - apart.shape[2]
            total += tf.pad(apart, [[0, 0], [i, below], [j, right], [0, 0]])
        return self.without_padding(total)

    def apart(self, part: Tensor) -> Tensor:
        """The windows' values, [B, *number, C], spread out to the windows' positions."""
        return _spread(_spread(part, 1, self.stride[0]), 2, self.stride[1])

    def without_padding(self, x: Tensor) -> Tensor:
        """Padded images, cropped to their original size."""
        top, left = self.before
        return x[:, top : top + self.image[0], left : left + self.image[1]]


def windows_of(op: tf.Operation, size: Any, image: Any, count: Any) -> Windows:
    """The windows of an operation, from its attributes.

    Args:
      op: a convolution, a pooling, or the gradient of one.
      size: height and width of a window.
      image: height and width of the images.
      count: the number of windows in each direction.
    """
    need_channels_last(op)
    if None in (*image, *count):
        refuse(op, "its images have no fixed size. Use a model whose Input has one.")
    stride = tuple(op.get_attr("strides")[1:3])
    dilation = (1, 1)
    if any(a.name == "dilations" for a in op.op_def.attr):
        dilation = tuple(op.get_attr("dilations")[1:3])
    padding = op.get_attr("padding")
    if padding not in (b"SAME", b"VALID"):
        refuse(op, f"its padding is {padding!r}; only 'same' and 'valid' are supported.")
    before, after = (0, 0), (0, 0)
    if padding == b"SAME":
        extent = [(s - 1) * d + 1 for s, d in zip(size, dilation, strict=True)]
        missing = [
            max((n - 1) * s + e - i, 0)
            for n, s, e, i in zip(count, stride, extent, image, strict=True)
        ]
        before = (missing[0] // 2, missing[1] // 2)
        after = (missing[0] - before[0], missing[1] - before[1])
    return Windows(tuple(size), tuple(count), tuple(image), before, after, stride, dilation)


def covered(windows: Windows) -> np.ndarray:
    """The number of image pixels in each window, [1, *number, 1]: fewer where there is padding."""
    rows, columns = (
        [sum(0 <= n * s - b + k * d < i for k in range(size)) for n in range(count)]
        for size, count, i, b, s, d in zip(
            windows.size,
            windows.number,
            windows.image,
            windows.before,
            windows.stride,
            windows.dilation,
            strict=True,
        )
    )
    return np.outer(rows, columns).astype("float32")[None, :, :, None]


def _spread(x: Tensor, axis: int, stride: int) -> Tensor:
    """`x` with `stride - 1` zeros between neighbours along an axis of images [B, H, W, C]."""
    if stride == 1:
        return x
    shape = sizes(x)
    count = shape[axis]
    paddings = [[0, 0] for _ in range(5)]
    paddings[axis + 1][1] = stride - 1
    shape[axis] = count * stride
    wide = tf.reshape(tf.pad(tf.expand_dims(x, axis + 1), paddings), shape)
    end = (count - 1) * stride + 1
    return wide[:, :end] if axis == 1 else wide[:, :, :end]
