"""Parts of tensors, and where they are in the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering.rules import refuse, rule
from meta_tf.types import Tensor


@rule("ConcatOffset")
def offsets(op: tf.Operation, axis: Tensor, *shapes: Tensor) -> list[Any]:
    """Where each tensor of a concatenation begins: at what those before it take up."""
    along = tf.one_hot(axis, shapes[0].shape[0], dtype=tf.int32)
    begin, begins = tf.zeros_like(shapes[0]), []
    for shape in shapes:
        begins.append(begin)
        begin = begin + shape * along
    return begins


@rule("DynamicStitch")
def stitch(op: tf.Operation, *inputs: Tensor) -> list[Any]:
    """Rows put together at known places, of which the last given holds: a gather.

    So a gradient writes a shape with ones at the axes that were summed over.
    """
    given, rows = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
    places = [tf.get_static_value(place) for place in given]
    if any(place is None for place in places):
        refuse(op, "the places of its rows are known at run time only.")
    place = np.concatenate([np.ravel(p) for p in places])
    last = {int(at): row for row, at in enumerate(place)}
    if sorted(last) != list(range(len(last))):
        refuse(op, "some of its rows are given nowhere.")
    flat = [
        tf.reshape(r, [np.size(p), *r.shape[np.ndim(p) :]])
        for p, r in zip(places, rows, strict=True)
    ]
    return [tf.gather(tf.concat(flat, 0), [last[at] for at in range(len(last))])]


@rule("StridedSlice")
def part(op: tf.Operation, x: Tensor, begin: Tensor, end: Tensor, step: Tensor) -> list[Any]:
    """As it is, but for what adds axes: the converter for LiteRT wants all sizes for that."""
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
    """The bits of a mask with those at some places taken out, the higher ones moved down."""
    bits = [mask >> i & 1 for i in range(mask.bit_length()) if i not in gone]
    return sum(bit << i for i, bit in enumerate(bits))
