"""Checks for values that are finite: neither NaN nor infinite."""

from __future__ import annotations

import tensorflow as tf

from meta_tf.types import Tensor, Tensors


def all_finite(tensors: Tensors) -> Tensor:
    """Whether all floats of a structure are finite, as a boolean tensor."""
    right = [tf.reduce_all(tf.math.is_finite(t)) for t in _floats(tensors)]
    return tf.reduce_all([tf.constant(True), *right])


def all_squares_finite(tensors: Tensors) -> Tensor:
    """Whether all floats of a structure, and the sum of their squares, are finite.

    Use it for gradients: optimizers square them, for Adam or to clip by norm.
    """
    return tf.math.is_finite(half_of_squares(tensors))


def half_of_squares(tensors: Tensors) -> Tensor:
    """Half the sum of the squares of all floats of a structure: one operation for each tensor."""
    halves = [tf.nn.l2_loss(t) for t in _floats(tensors)]
    wide = tf.float64 if any(t.dtype == tf.float64 for t in halves) else tf.float32
    return tf.add_n([tf.cast(t, wide) for t in halves])


def _floats(tensors: Tensors) -> list[Tensor]:
    return [t for t in tf.nest.flatten(tensors) if t.dtype.is_floating]


def nan_unless_finite(weights: Tensors, outcome: Tensors) -> Tensors:
    """A network's output for `weights`, replaced by NaN if the weights are not all finite.

    The output alone can be finite: a compiled ReLU turns NaN into 0, and so hides that an inner
    loop has diverged.
    """
    finite = all_finite(weights)

    def or_nan(t: Tensor) -> Tensor:
        nan = tf.cast(float("nan"), t.dtype) if t.dtype.is_floating else t  # keeps a mask
        return tf.where(finite, t, nan)

    return tf.nest.map_structure(or_nan, outcome)
