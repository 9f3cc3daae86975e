"""The axes that gradients sum over after broadcasting, and sums over axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.tensor_util import constant_value_as_shape

from meta_tf.export.lowering.rules import refuse, rule
from meta_tf.types import Tensor

_MOST_AXES = 5  # LiteRT's fast kernels accept more, and then fail


@rule("BroadcastGradientArgs")
def broadcast_axes(op: tf.Operation, a: Tensor, b: Tensor) -> list[Any]:
    """For each shape, the axes to sum over to undo its broadcasting.

    Only shapes with unknown sizes reach this rule; two unknown sizes are assumed to be equal.
    If that is wrong, the comparison with TensorFlow at several sizes detects it.
    """
    one, other = (constant_value_as_shape(shape) for shape in (a, b))
    if one.rank is None or other.rank is None:
        refuse(op, "the number of axes is not known.")
    rank = max(one.rank, other.rank)
    ours = [1] * (rank - one.rank) + one.as_list()
    theirs = [1] * (rank - other.rank) + other.as_list()

    def axes(mine: list[int | None], others: list[int | None]) -> Tensor:
        wide = [i for i in range(rank) if mine[i] == 1 and others[i] != 1]
        return tf.constant(wide, tf.int32)

    return [axes(ours, theirs), axes(theirs, ours)]


@rule("Sum", "Mean")
def reduce(op: tf.Operation, x: Tensor, axes: Tensor) -> list[Any]:
    """A sum or a mean over some axes.

    In a tensor with many axes, adjacent axes that are both summed, or both kept, are first
    merged.
    """
    function = tf.reduce_sum if op.type == "Sum" else tf.reduce_mean
    chosen = tf.get_static_value(axes)
    many = x.shape.rank is not None and x.shape.rank > _MOST_AXES
    if not many or chosen is None or None in x.shape.as_list():
        return [function(x, axes, keepdims=op.get_attr("keep_dims"))]
    shape, kept = x.shape.as_list(), op.outputs[0].shape
    merged, summed = _merge_neighbours(shape, {int(i) % len(shape) for i in np.ravel(chosen)})
    return [tf.reshape(function(tf.reshape(x, merged), summed), kept)]


def _merge_neighbours(shape: list[int], summed: set[int]) -> tuple[list[int], list[int]]:
    """The shape with adjacent axes of the same kind merged, and its axes to sum over."""
    merged: list[int] = []
    kinds: list[bool] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if kinds and kinds[-1] == (axis in summed):
            merged[-1] *= size
        else:
            merged.append(size)
            kinds.append(axis in summed)
    return merged, [axis for axis, is_summed in enumerate(kinds) if is_summed]
