"""Batch normalisation with TensorFlow's fused kernels and correct derivatives of every order.

The kernels pass over an image once, the explicit formula five times. TensorFlow's second
derivative of the kernels is built from `tf.nn.moments`, and is wrong. Here it is computed in
closed form with the same kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor


def can_be_fused(x: Tensor) -> bool:
    """Whether there are kernels for `x`: images [B, H, W, C] in float32."""
    return x.shape.rank == 4 and x.dtype == tf.float32 and x.shape[-1] is not None


def fused_batch_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
) -> tuple[Tensor, Callable[[], tuple[Tensor, Tensor]]]:
    """Normalises each channel of images `x` [B, H, W, C] in float32: `(y, statistics)`.

        mean = Σ x / n,  variance = Σ (x - mean)² / n,  r = 1 / √(variance + ε)
        y = γ z + β,  z = (x - mean) r

    γ and β are [C]. `statistics()` returns mean and variance, [C]. Gradients flow through all.
    """
    y, mean, unbiased, *reserved = _kernel(x, gamma, beta, epsilon)
    known = x.shape.num_elements()  # then there are fewer operations to trace
    n: Any = float(known // x.shape[-1]) if known else tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    free = max(n - 1, 1.0) if known else tf.maximum(n - 1, 1)

    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        return of_formula(x, mean, unbiased * free / n)

    @tf.custom_gradient
    def of_formula(x: Tensor, mean: Tensor, variance: Tensor) -> tuple[Any, Any]:
        """The kernel's values, with the gradient of the formula."""

        def backward(d_mean: Tensor, d_variance: Tensor) -> tuple[Tensor, None, None]:
            here, _ = of_formula(x, mean, variance)
            return (d_mean + 2 * d_variance * (x - here)) / n, None, None

        return (tf.identity(mean), tf.identity(variance)), backward

    @tf.custom_gradient
    def slope(g: Tensor, x: Tensor, gamma: Tensor) -> tuple[Any, Any]:
        """The gradients of Σ g y with respect to x, γ and β.

        P(g) = g - mean(g) - z mean(g z):   γ r P(g),  Σ g z,  Σ g.
        """
        found = _gradient_kernel(g, x, gamma, reserved, epsilon)

        def backward(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            # a, b, c are the gradients of the loss with respect to those three. P is symmetric,
            # and   d loss / dz = u (besides the part through y),  d loss / dr = γ n h.
            center, spread = statistics(x)
            r = tf.math.rsqrt(spread + epsilon)
            z = (x - center) * r
            pa, nz, n1 = slope(a, x, gamma)
            gz, g1, ag = _mean(g * z), _mean(g), _mean(a * g)
            az, a1 = nz / n, n1 / n
            h = ag - a1 * g1 - az * gz
            u = a * (-gamma * r * gz) + g * (b - gamma * r * az)
            pu, _, _ = slope(u, x, tf.ones_like(gamma))
            return pa + z * b + c, pu - z * (gamma * h * r * r), n * r * h

        return tuple(found), backward

    @tf.custom_gradient
    def normalized(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Any]:
        del beta
        return tf.identity(y), lambda g: slope(g, x, gamma)

    return normalized(x, gamma, beta), lambda: statistics(x)


def _kernel(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Any:
    """y, mean, n / (n - 1) times the variance, and three tensors for `_gradient_kernel`."""
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=epsilon,
        is_training=True,
    )


def _gradient_kernel(
    g: Tensor, x: Tensor, gamma: Tensor, reserved: list[Tensor], epsilon: float
) -> Any:
    """The gradients of Σ g y with respect to x, γ and β."""
    return tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=g,
        x=x,
        scale=gamma,
        reserve_space_1=reserved[0],
        reserve_space_2=reserved[1],
        reserve_space_3=reserved[2],
        epsilon=epsilon,
        is_training=True,
    )[:3]


def _mean(x: Tensor) -> Tensor:
    return tf.reduce_mean(x, [0, 1, 2])
