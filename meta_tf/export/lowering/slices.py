"""Parts of tensors, and their positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering.rules import refuse, rule
from meta_tf.types import Tensor


@rule("ConcatOffset")
def offsets(op: tf.Operation, axis: Tensor, *shapes: Tensor) -> list[Any]:
    """The start of each tensor in a concatenation: the total size of those before it."""
    along = tf.one_hot(axis, shapes[0].shape[0], dtype=tf.int32)
    begin, begins = tf.zeros_like(shapes[0]), []
    for shape in shapes:
        begins.append(begin)
        begin = begin + shape * along
    return begins


@rule("DynamicStitch")
def stitch(op: tf.Operation, *inputs: Tensor) -> list[Any]:
    """Rows placed at known indices, the last one if an index repeats: as a gather.

    Gradients use it to build a shape with ones at the summed axes.
    """
    given, rows = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
    places = [tf.get_static_value(place) for place in given]
    if any(place is None for place in places):
        refuse(op, "the indices of its rows are known only at run time.")
    place = np.concatenate([np.ravel(p) for p in places])
    last = {int(at): row for row, at in enumerate(place)}
    if sorted(last) != list(range(len(last))):
        refuse(op, "some of its rows are missing.")
    flat = [
        tf.reshape(r, [np.size(p), *r.shape[np.ndim(p) :]])
        for p, r in zip(places, rows, strict=True)
    ]
    return [tf.gather(tf.concat(flat, 0), [last[at] for at in range(len(last))])]


@rule("StridedSlice")
def part(op: tf.Operation, x: Tensor, begin: Tensor, end: Tensor, step: Tensor) -> list[Any]:
    """Unchanged, except for new axes, for which the LiteRT converter needs all sizes."""
    new = [i for i in range(begin.shape[0]) if op.get_attr("new_axis_mask") >> i & 1]
    masks = ("begin_mask", "end_mask", "shrink_axis_mask", "ellipsis_mask", "new_axis_mask")
    given = {name: op.get_attr(name) for name in masks}
    if new and not given["ellipsis_mask"] and not given["shrink_axis_mask"]:
        kept = [i for i in range(begin.shape[0]) if i not in new]
        given = {name: _without(given[name], new) for name in masks}
        begin, end, step = (tf.gather(t, kept) for t in (begin, end, step))
    else:
        new = []
    y = tf.raw_ops.StridedSlice(input=x, begin=begin, end=end, strides=step, **given)
    for axis in new:
        y = tf.expand_dims(y, axis)
    return [y]


def _without(mask: int, gone: list[int]) -> int:
    """The mask without the bits at some positions; higher bits move down."""
    bits = [mask >> i & 1 for i in range(mask.bit_length()) if i not in gone]
    return sum(bit << i for i, bit in enumerate(bits))
