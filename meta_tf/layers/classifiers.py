"""Classifiers computed from a support set: class means, attention, ridge, logistic regression.

Pure functions of tensors, for one task: S support examples, Q query examples, N ways and
embeddings of D numbers. Each classifier is a pair: `fit_…` computes a dict of tensors from the
support set, and `…_logits` uses it to predict a query set. Half-precision inputs are computed
and returned in float32.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor

DISTANCES = ("euclidean", "cosine")

# The logit of a class without a support example: small enough that it is never predicted, and,
# unlike -inf, with finite gradients.
UNSEEN = -1e9

# Steps of the accelerated gradient method: with λ = 1 and 100 examples, the last changes 1e-6.
_STEPS = 100


def fit_prototypes(x: Tensor, labels: Tensor, ways: int) -> dict[str, Tensor]:
    """The class means [N, D] of the support embeddings `x` [S, D] with `labels` [S]."""
    x = single(x)
    y = one_hot(labels, ways, x.dtype)
    return {"prototypes": class_means(x, y), "unseen": unseen(y)}


def prototype_logits(
    fitted: dict[str, Tensor], query: Tensor, distance: str, scale: float
) -> Tensor:
    """Logits [Q, N] of `query` [Q, D]: -scale · d(query_q, c_n)."""
    apart = distances(single(query), fitted["prototypes"], distance)
    return fitted["unseen"] - scale * apart


def fit_attention(x: Tensor, labels: Tensor, ways: int) -> dict[str, Tensor]:
    """The support embeddings `x` [S, D] and their classes, for attention."""
    x = single(x)
    return {"embeddings": x, "classes": one_hot(labels, ways, x.dtype)}


def attention_logits(fitted: dict[str, Tensor], query: Tensor, scale: float) -> Tensor:
    """Log probabilities [Q, N] of `query` [Q, D], by attention over the support examples.

    a_qs = softmax over s of scale · cos(q, x_s),   log p_qn = log Σ_s a_qs y_sn
    """
    similar = scale * cosines(single(query), fitted["embeddings"])
    # Log-sum-exp, so that small probabilities are not rounded to 0.
    by_class = similar[:, :, tf.newaxis] + UNSEEN * (1 - fitted["classes"])
    return tf.reduce_logsumexp(by_class, 1) - tf.reduce_logsumexp(similar, 1, keepdims=True)


def fit_ridge(x: Tensor, labels: Tensor, ways: int, log_lambda: Tensor) -> dict[str, Tensor]:
    """The regression [D, N] from the support embeddings `x` [S, D] to their classes."""
    x = single(x)
    y = one_hot(labels, ways, x.dtype)
    return {"classifier": ridge(x, y, tf.exp(tf.cast(log_lambda, x.dtype))), "unseen": unseen(y)}


def ridge_logits(fitted: dict[str, Tensor], query: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Logits [Q, N] of `query` [Q, D]: scale · query W + bias."""
    answers = tf.matmul(single(query), fitted["classifier"])
    scale, bias = tf.cast(scale, answers.dtype), tf.cast(bias, answers.dtype)
    return scale * answers + bias + fitted["unseen"]


def fit_logistic(x: Tensor, labels: Tensor, ways: int, lam: float) -> dict[str, Tensor]:
    """The weights W [D, N] that minimise Σ_s cross-entropy(x_s W, y_s) + λ/2 |W|².

    The minimum is a combination of the embeddings of length 1, W = xᵀ A, found with Nesterov's
    method:

        B = A + m (A - A'),   A'' = B - η (softmax(x xᵀ B) - y + λ B)

    over the classes that have an example; the columns of the others stay 0. Here
    η = 1 / (|x|² / 2 + λ), a step size that cannot diverge, and
    m = (1 - √(η λ)) / (1 + √(η λ)), the best momentum for a λ-strongly convex function.
    """
    x = _unit(single(x))
    y = one_hot(labels, ways, x.dtype)
    gram = tf.matmul(x, x, transpose_b=True)
    rate = 1 / (tf.reduce_sum(x**2) / 2 + lam)
    momentum = (1 - tf.sqrt(rate * lam)) / (1 + tf.sqrt(rate * lam))
    absent = unseen(y)

    def step(i: Tensor, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ahead = now + momentum * (now - before)
        error = tf.nn.softmax(tf.matmul(gram, ahead) + absent) - y
        return i + 1, now, ahead - rate * (error + lam * ahead)

    zero = tf.zeros_like(y)
    _, _, now = tf.while_loop(
        lambda i, *_: i < _STEPS, step, (0, zero, zero), maximum_iterations=_STEPS
    )
    return {"classifier": tf.matmul(x, now, transpose_a=True), "unseen": absent}


def logistic_logits(fitted: dict[str, Tensor], query: Tensor, scale: float) -> Tensor:
    """Logits [Q, N] of `query` [Q, D]: scale · query W, with queries of length 1."""
    return scale * tf.matmul(_unit(single(query)), fitted["classifier"]) + fitted["unseen"]


def single(x: Tensor) -> Tensor:
    """`x` in at least float32: distances in half precision have hardly one correct digit."""
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x


def one_hot(labels: Tensor, ways: int, dtype: Any) -> Tensor:
    """Class numbers [S] as one-hot rows [S, N]; ValueError if they are known not to be such."""
    if labels.shape.rank not in (1, None):
        raise ValueError(
            "The labels of a support set must be class numbers [S], one for each example. "
            f"Received: shape {labels.shape}. Pass numbers 0, 1, 2 ... instead of one-hot rows."
        )
    known = tf.get_static_value(labels)
    if known is not None and not all(n in range(ways) for n in known.tolist()):
        raise ValueError(
            f"The labels of a support set must be class numbers 0 to {ways - 1}, below `ways`. "
            f"Received: {known!r}. Number the classes of each task from 0, or pass a larger `ways`."
        )
    return tf.one_hot(tf.cast(labels, tf.int32), ways, dtype=dtype)


def class_means(x: Tensor, y: Tensor) -> Tensor:
    """The mean [N, D] of the embeddings `x` [S, D] of each class, 0 for an empty one.

    With the classes `y` [S, N] one-hot, c_n = Σ_s y_sn x_s / Σ_s y_sn.
    """
    count = tf.maximum(tf.reduce_sum(y, 0), 1)
    return tf.matmul(y, x, transpose_a=True) / count[:, tf.newaxis]


def unseen(y: Tensor) -> Tensor:
    """What to add to the logits: 0, or `UNSEEN` for a class without an example in `y` [S, N]."""
    return UNSEEN * tf.cast(tf.reduce_sum(y, 0) == 0, y.dtype)


def distances(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """Distances [Q, N] of the rows of `a` [Q, D] and `b` [N, D].

    `"euclidean"`: |a_q - b_n|², squared. `"cosine"`: 1 - a_q · b_n / (|a_q| |b_n|).
    """
    if kind == "cosine":
        return 1 - cosines(a, b)
    # As a matrix product, which vectorises over tasks better than a tensor [Q, N, D].
    squares = tf.reduce_sum(a**2, 1)[:, tf.newaxis] + tf.reduce_sum(b**2, 1)
    return squares - 2 * tf.matmul(a, b, transpose_b=True)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosines [Q, S] of the angles between the rows of `a` [Q, D] and `b` [S, D]."""
    return tf.matmul(_unit(a), _unit(b), transpose_b=True)


def _unit(rows: Tensor) -> Tensor:
    """The rows [n, D] divided by their lengths; 0, with a gradient of 0, for a row of zeros."""
    squares = tf.reduce_sum(rows**2, 1, keepdims=True)
    long = squares > 1e-12
    return tf.where(long, rows * tf.math.rsqrt(tf.where(long, squares, 1.0)), 0.0)


def ridge(x: Tensor, y: Tensor, lam: Tensor) -> Tensor:
    """The weights W [D, N] that minimise |x W - y|² + λ |W|², for x [S, D] and y [S, N].

    Solves the smaller of two equivalent systems, with D or S equations (Woodbury); the one with S
    if the sizes are not known statically:

        W = (xᵀ x + λ I)⁻¹ xᵀ y = xᵀ (x xᵀ + λ I)⁻¹ y
    """
    size, features = x.shape
    few = None in (size, features) or size <= features
    gram = tf.matmul(x, x, transpose_a=not few, transpose_b=few)
    system = gram + lam * tf.eye(tf.shape(gram)[0], dtype=x.dtype)
    right = y if few else tf.matmul(x, y, transpose_a=True)
    solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(system), right)
    return tf.matmul(x, solved, transpose_a=True) if few else solved
