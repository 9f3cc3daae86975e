"""Conjugate gradients: solves a linear system with matrix-vector products only."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from meta_tf.types import Tensor


def conjugate_gradient(
    product: Callable[[list], list], b: list[Tensor], steps: int
) -> list[Tensor]:
    """Solves A x = b for a symmetric positive definite A, given as the function v ↦ A v.

    Exact after as many steps as A has distinct eigenvalues; a residual of 0 stays 0. If A is
    not positive definite, the steps may lead away from the solution.

    Args:
      product: v ↦ A v, on lists of tensors with the shapes of `b`.
      b: the right-hand side.
      steps: the number of products.
    """
    x, r = [tf.zeros_like(t) for t in b], b
    p, rr = r, _dot(r, r)
    for _ in range(steps):
        ap = product(p)
        alpha = tf.math.divide_no_nan(rr, _dot(p, ap))
        x = [a + alpha * d for a, d in zip(x, p, strict=True)]
        r = [a - alpha * d for a, d in zip(r, ap, strict=True)]
        before, rr = rr, _dot(r, r)
        beta = tf.math.divide_no_nan(rr, before)
        p = [a + beta * d for a, d in zip(r, p, strict=True)]
    return x


def _dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    return tf.add_n([tf.reduce_sum(x * y) for x, y in zip(a, b, strict=True)])
