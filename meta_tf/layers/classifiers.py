"""Solvers and closed forms: class means, distances, attention, ridge, conjugate gradients.

Pure functions of tensors, for one task: S support examples, Q query examples, N ways and
embeddings of D numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

DISTANCES = ("euclidean", "cosine")

# The logit of a class without a support example: no class is less likely, and unlike -inf
# it has finite gradients.
_UNSEEN = -1e9


def single(x: Any) -> Any:
    """`x`, in float32 at least: distances of half precision have hardly a digit."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


def one_hot(labels: Any, ways: int, dtype: Any) -> Any:
    """Class numbers [S] as rows of zeros and a one, [S, N].

    Raises:
      ValueError: if the labels have another axis or, where they are known before the program
        runs, are not numbers from 0 to N - 1.
    """
    if labels.shape.rank not in (1, None):
        raise ValueError(
            "The labels of a support set must be class numbers [S], one for each example. "
            f"Received: shape {labels.shape}. Pass numbers 0, 1, 2 ... instead of rows of targets."
        )
    known = tf.get_static_value(labels)
    if known is not None and not all(n in range(ways) for n in known.tolist()):
        raise ValueError(
            f"The labels of a support set must be class numbers 0 to {ways - 1}, below `ways`. "
            f"Received: {known!r}. Number the classes of each task from 0, or give more ways."
        )
    return tf.one_hot(tf.cast(labels, tf.int32), ways, dtype=dtype)


def class_means(x: Any, y: Any) -> Any:
    """The mean of each class [N, D]: c_n = Σ_s y_sn x_s / Σ_s y_sn; 0 for one without examples.

    Args:
      x: embeddings, [S, D].
      y: their classes, one-hot, [S, N].
    """
    count = tf.maximum(tf.reduce_sum(y, 0), 1)
    return tf.matmul(y, x, transpose_a=True) / count[:, tf.newaxis]


def unseen(y: Any) -> Any:
    """What to add to the classes' logits, so that one without a support example never wins.

    Args:
      y: the classes of the support set, one-hot, [S, N].

    Returns:
      0, or a large negative number for a class without examples, [N].
    """
    return _UNSEEN * tf.cast(tf.reduce_sum(y, 0) == 0, y.dtype)


def distances(a: Any, b: Any, kind: str) -> Any:
    """Distances [Q, N] of the rows of `a` [Q, D] and `b` [N, D].

    `"euclidean"`: |a_q - b_n|², squared. `"cosine"`: 1 - a_q · b_n / (|a_q| |b_n|).
    """
    if kind == "cosine":
        return 1 - cosines(a, b)
    # As a product of matrices, which tasks share better than a tensor [Q, N, D].
    squares = tf.reduce_sum(a**2, 1)[:, tf.newaxis] + tf.reduce_sum(b**2, 1)
    return squares - 2 * tf.matmul(a, b, transpose_b=True)


def cosines(a: Any, b: Any) -> Any:
    """Cosines [Q, S] of the angles between the rows of `a` [Q, D] and `b` [S, D]."""
    return tf.matmul(_unit(a), _unit(b), transpose_b=True)


def _unit(rows):
    """The rows [n, D] over their lengths; 0, with a gradient of 0, for one without direction."""
    squares = tf.reduce_sum(rows**2, 1, keepdims=True)
    long = squares > 1e-12
    return tf.where(long, rows * tf.math.rsqrt(tf.where(long, squares, 1.0)), 0.0)


def attention(query: Any, x: Any, y: Any, scale: Any = 1.0) -> Any:
    """Log probabilities [Q, N] of the classes, by attention over the support examples.

        a_qs = softmax over s of scale · cos(q, x_s),   log p_qn = log Σ_s a_qs y_sn

    Args:
      query: embeddings to classify, [Q, D].
      x: embeddings of the support set, [S, D].
      y: their classes, one-hot, [S, N].
      scale: sharpens the attention.
    """
    similar = scale * cosines(query, x)
    # The logarithm of a sum of exponentials, so that no small probability is rounded to 0.
    by_class = similar[:, :, tf.newaxis] + _UNSEEN * (1 - y)
    return tf.reduce_logsumexp(by_class, 1) - tf.reduce_logsumexp(similar, 1, keepdims=True)


def ridge(x: Any, y: Any, lam: Any) -> Any:
    """The weights W [D, N] that minimise |x W - y|² + λ |W|².

    The smaller of two equal systems is solved, of D or of S equations (Woodbury), and that of S
    where the sizes are not known before it runs:

        W = (xᵀ x + λ I)⁻¹ xᵀ y = xᵀ (x xᵀ + λ I)⁻¹ y

    Args:
      x: inputs, [S, D].
      y: targets, [S, N].
      lam: λ, above 0.
    """
    size, features = x.shape
    few = None in (size, features) or size <= features
    gram = tf.matmul(x, x, transpose_a=not few, transpose_b=few)
    system = gram + lam * tf.eye(tf.shape(gram)[0], dtype=x.dtype)
    right = y if few else tf.matmul(x, y, transpose_a=True)
    solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(system), right)
    return tf.matmul(x, solved, transpose_a=True) if few else solved


def conjugate_gradient(product: Callable[[list], list], b: list[Any], steps: int) -> list[Any]:
    """Solves A x = b for a symmetric positive definite A that is known by its products alone.

    Exact after as many steps as A has distinct eigenvalues; a residual of 0 stays 0. With an A
    that is not positive definite the steps may lead away from the solution.

    Args:
      product: v ↦ A v, on lists of tensors of the shapes of `b`.
      b: the right side.
      steps: how many products to take.
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


def _dot(a, b):
    return tf.add_n([tf.reduce_sum(x * y) for x, y in zip(a, b, strict=True)])
