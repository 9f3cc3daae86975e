"""Baselines of one task: what one would try on its support set without meta-learning, in NumPy.

All of them work on the singular values of the centred support inputs X = U diag(s) Vᵀ, so that
many inputs, such as pixels, cost no more than the support set is large.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meta_tf.calibration import softmax

_STEPS = 120  # of logistic regression
_PENALTIES = 10.0 ** np.arange(-5, 4)  # of ridge regression, as a fraction of the mean square
_SMALLEST = 1e-7  # squared singular values below this fraction of the largest one are 0


class Spectrum(NamedTuple):
    """The support and query inputs of tasks, seen along the directions of the support set.

    `u`: U, [T, S, R]. `square`: s², [T, R], 0 for directions that are only rounding errors.
    `query`: q V diag(s), the centred queries, [T, Q, R].
    """

    u: np.ndarray
    square: np.ndarray
    query: np.ndarray


def spectrum(support_x: Any, query_x: Any) -> Spectrum:
    """The `Spectrum` of tasks with inputs [T, S, ...] and [T, Q, ...]."""
    x, q = (np.asarray(t).reshape(*np.shape(t)[:2], -1) for t in (support_x, query_x))
    few = x.shape[2] <= x.shape[1]
    if few:  # otherwise the products of pixels would take twice as long
        x, q = x.astype(np.float64), q.astype(np.float64)
    mean = x.mean(1, keepdims=True)
    x, q = x - mean, q - mean
    gram = x.swapaxes(1, 2) @ x if few else x @ x.swapaxes(1, 2)
    square, vectors = np.linalg.eigh(gram.astype(np.float64))
    square = np.where(square > _SMALLEST * square[:, -1:], square, 0.0)
    root = np.sqrt(square)[:, np.newaxis]
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    if few:
        return Spectrum(x @ vectors * inverse, square, q @ vectors * root)
    return Spectrum(vectors * (root > 0), square, (q @ x.swapaxes(1, 2)) @ vectors)


def ridge(task: Spectrum, support_y: np.ndarray) -> np.ndarray:
    """Predictions [T, Q, D] of ridge regression with an intercept, for targets [T, S, D].

    The penalty, from 10⁻⁵ to 10³ of the inputs' mean square or infinite, has the least
    leave-one-out error on the support set: with the smoother H(λ) = 1/S + U diag(s² / (s² + λ)) Uᵀ,
    the errors are (y - H y) / (1 - diag H).
    """
    y = np.asarray(support_y, np.float64)
    count, mean = y.shape[1], y.mean(1, keepdims=True)
    left = y - mean
    along = task.u.swapaxes(1, 2) @ left  # [T, R, D]
    scale = task.square.sum(1, keepdims=True) / count
    best = np.full(len(y), np.inf)
    coefficients = np.zeros_like(along)
    for penalty in (np.inf, *_PENALTIES[::-1]):
        weight = np.zeros_like(task.square)
        if penalty < np.inf:
            np.divide(1, task.square + penalty * scale, out=weight, where=task.square > 0)
        weight = weight[..., np.newaxis]
        kept = task.square[..., np.newaxis] * weight
        own = 1 / count + np.square(task.u) @ kept  # [T, S, 1]: the diagonal of H
        error = (left - task.u @ (kept * along)) / np.maximum(1 - own, 1e-12)
        error = np.square(error).mean((1, 2)) if count > 1 else np.zeros(len(y))
        better = error < best
        best = np.where(better, error, best)
        coefficients = np.where(better[:, np.newaxis, np.newaxis], weight * along, coefficients)
    return mean + task.query @ coefficients


def nearest_mean(task: Spectrum, support_y: np.ndarray) -> np.ndarray:
    """The class [T, Q] whose mean of the support set is nearest."""
    present = _one_hot(support_y)
    counts = present.sum(1)[..., np.newaxis]  # [T, N, 1]
    places = task.u * np.sqrt(task.square)[:, np.newaxis]
    means = present.swapaxes(1, 2) @ places / np.maximum(counts, 1)  # [T, N, R]
    root = np.sqrt(task.square)[:, np.newaxis]
    query = np.divide(task.query, root, out=np.zeros_like(task.query), where=root > 0)
    # The part of a query outside of these directions is as far from every class.
    apart = np.square(means).sum(-1)[:, np.newaxis] - 2 * query @ means.swapaxes(1, 2)
    return np.where(counts[:, np.newaxis, :, 0] > 0, apart, np.inf).argmin(-1)


def logistic_regression(task: Spectrum, support_y: np.ndarray) -> np.ndarray:
    """The logits [T, Q, N] of softmax regression with an intercept; -inf for a class not seen.

    It minimises Σ cross-entropy + ½ Σ W² over weights W, as scikit-learn does by default. The
    curvature of the cross-entropy by the logits is at most ½ (Böhning 1992), so each step is a
    ridge regression with penalty 2 of f + 2 (one-hot - softmax f); steps have momentum.
    """
    present = _one_hot(support_y)
    unseen = np.where(present.any(1), 0, -np.inf)[:, np.newaxis]
    shrink = (task.square / (task.square + 2))[..., np.newaxis]
    logits = ahead = np.zeros_like(present)
    response = ahead
    for step in range(_STEPS):
        response = ahead + 2 * (present - softmax(ahead + unseen))
        mean = response.mean(1, keepdims=True)
        new = mean + task.u @ (shrink * (task.u.swapaxes(1, 2) @ (response - mean)))
        ahead, logits = new + step / (step + 3) * (new - logits), new
    mean = response.mean(1, keepdims=True)
    along = task.u.swapaxes(1, 2) @ (response - mean)
    return unseen + mean + task.query @ (along / (task.square + 2)[..., np.newaxis])


def _one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(int(labels.max()) + 1)[labels]
