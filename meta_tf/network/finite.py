"""What is finite, that is, neither NaN nor infinite."""

from __future__ import annotations

import tensorflow as tf

from meta_tf.types import Tensor, Tensors


def all_finite(tensors: Tensors) -> Tensor:
    """Whether all floats of a structure are finite, a boolean tensor."""
    floats = (t for t in tf.nest.flatten(tensors) if t.dtype.is_floating)
    right = [tf.reduce_all(tf.math.is_finite(t)) for t in floats]
    return tf.reduce_all([tf.constant(True), *right])


def all_squares_finite(tensors: Tensors) -> Tensor:
    """Whether all floats of a structure are finite, and the sums of their squares too.

    Of gradients that is asked: optimizers square them, to clip them by their norm, or as Adam does.
    """
    floats = (t for t in tf.nest.flatten(tensors) if t.dtype.is_floating)
    return all_finite([tf.reduce_sum(tf.square(t)) for t in floats])


def nan_unless_finite(weights: Tensors, outcome: Tensors) -> Tensors:
    """What a network makes with `weights`, or NaN in its place if these are not all finite.

    The outcome alone may be finite: a compiled ReLU turns NaN into 0, and so hides that an inner
    loop has diverged.
    """
    finite = all_finite(weights)

    def or_nan(t: Tensor) -> Tensor:
        nan = tf.cast(float("nan"), t.dtype) if t.dtype.is_floating else t  # a mask stays
        return tf.where(finite, t, nan)

    return tf.nest.map_structure(or_nan, outcome)
