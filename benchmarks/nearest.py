"""Classifiers of one task that only compare distances."""

from __future__ import annotations

import numpy as np

from meta_tf.evaluation.baselines import nearest_mean, spectrum


def class_mean(task: tuple[np.ndarray, ...], turned: np.ndarray) -> float:
    """Accuracy of the nearest class mean of the support set, after `x @ turned`."""
    support_x, support_y, query_x, query_y = task
    inputs = spectrum((support_x @ turned)[None], (query_x @ turned)[None])
    return float(np.mean(nearest_mean(inputs, support_y[None])[0] == query_y))


def nearest_neighbour(known: list[tuple[np.ndarray, np.ndarray]], task: tuple) -> float:
    """Accuracy of the nearest example of other groups, without the support set."""
    x, y = (np.concatenate(parts) for parts in zip(*known, strict=True))
    _, _, query_x, query_y = task
    return float(np.mean(y[nearest(query_x, x)] == query_y))


def whitening(known: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The whitening matrix: examples of one class and group get equal variance in all features."""
    apart = np.concatenate([x[y == c] - x[y == c].mean(0) for x, y in known for c in np.unique(y)])
    values, vectors = np.linalg.eigh(np.cov(apart.T))
    return vectors / np.sqrt(values)


def nearest(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The index of the row of `others` [m, D] that is nearest to each row of `x` [n, D]."""
    return ((x[:, np.newaxis] - others) ** 2).sum(-1).argmin(1)
