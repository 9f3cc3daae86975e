"""Explicit formulas for batch normalisation with TensorFlow's fused kernels.

The forward kernel passes two internal tensors to its gradient: here, in both modes, the mean
and the variance. The two rules belong together.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import need_channels_last, rule, sizes
from meta_tf.types import Tensor

_AXES = [0, 1, 2]  # batch, height, width


@rule("FusedBatchNormV3")
def batch_norm(
    op: tf.Operation, x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor
) -> list[Any]:
    """Value: y = γ z + β with z = (x - mean) / √(variance + ε), and the statistics."""
    need_channels_last(op)
    epsilon, unbiased = op.get_attr("epsilon"), variance
    if op.get_attr("is_training"):
        mean = tf.reduce_mean(x, _AXES)
        variance = tf.reduce_mean(tf.square(x - mean), _AXES)
        batch, height, width, _ = sizes(x)
        n = tf.cast(batch * height * width, x.dtype)
        unbiased = variance * (n / tf.maximum(n - 1, 1.0))
    y = (x - mean) * (tf.math.rsqrt(variance + epsilon) * gamma) + beta
    return [y, mean, unbiased, mean, variance, mean]


@rule("FusedBatchNormGradV3")
def batch_norm_gradient(
    op: tf.Operation,
    g: Tensor,
    x: Tensor,
    gamma: Tensor,
    mean: Tensor,
    variance: Tensor,
    unused: Tensor,
) -> list[Any]:
    """γ r (g - mean(g) - z mean(g z)), Σ g z and Σ g, with r = 1 / √(variance + ε)."""
    need_channels_last(op)
    r = tf.math.rsqrt(variance + op.get_attr("epsilon"))
    z = (x - mean) * r
    by_gamma, by_beta = tf.reduce_sum(g * z, _AXES), tf.reduce_sum(g, _AXES)
    if op.get_attr("is_training"):
        g = g - tf.reduce_mean(g, _AXES) - z * tf.reduce_mean(g * z, _AXES)
    return [g * (gamma * r), by_gamma, by_beta, mean, variance]
