"""Baselines of groups: one model for all training groups, with corrections from a support set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meta_tf.evaluation.baselines import logistic_regression, spectrum

PENALTIES = 10.0 ** np.arange(-1, 5)
FOLDS = 5
SHOTS = 5  # support examples of a held-out group, when the penalty of a group's own ridge is chosen
_MOST_PRODUCTS = 30  # features; with more of them, products of two are too many
_ROWS = 4000  # of the training groups, for logistic regression
Group = tuple[np.ndarray, np.ndarray]


class PooledRidge:
    """Ridge regression on all known groups, by all features and all products of two of them.

    Five-fold cross-validation over the known groups chooses both penalties: the common one, and
    that of a ridge regression on what the common model leaves of a group's support set. Of each
    known group, x [n, F] is in units of about 1, and y is [n, D].
    """

    def __init__(self, known: Sequence[Group]):
        groups = [(quadratic(x), np.asarray(y, np.float64)) for x, y in known]
        folds = [groups[fold::FOLDS] for fold in range(min(FOLDS, len(groups)))]
        sums = [(sum(x.T @ x for x, _ in fold), sum(x.T @ y for x, y in fold)) for fold in folds]
        square, product = (sum(parts) for parts in zip(*sums, strict=True))
        others = [(square - own, product - of_own) for own, of_own in sums]

        def errors(common: float, own: float | None) -> float:
            """The mean error on held-out groups, for `own` after five of their examples."""
            found = []
            for rest, fold in zip(others, folds, strict=True):
                weights = _solved(*rest, common)
                for number, (x, y) in enumerate(fold):
                    left = y - x @ weights
                    if own is None:
                        found.append(np.mean(left**2))
                        continue
                    order = np.random.default_rng(number).permutation(len(x))
                    support, query = order[:SHOTS], order[SHOTS:]
                    if len(query):
                        more = _dual(x[support], left[support], own)
                        found.append(np.mean((left[query] - x[query] @ more) ** 2))
            return float(np.mean(found)) if found else 0.0

        self.common = min(PENALTIES, key=lambda penalty: errors(penalty, None))
        self.own = min(PENALTIES, key=lambda penalty: errors(self.common, penalty))
        self.weights = _solved(square, product, self.common)

    def predictions(
        self, support_x: np.ndarray, support_y: np.ndarray, query_x: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Predictions [Q, D] of a new group, by the name of the baseline."""
        support, query = quadratic(support_x), quadratic(query_x)
        left, common = support_y - support @ self.weights, query @ self.weights
        return {
            "ridge on all groups": common,
            "ridge on all groups + offset": common + left.sum(0) / (len(left) + 1),
            "ridge on all groups + own ridge": common + query @ _dual(support, left, self.own),
        }


def pooled_logistic(known: Sequence[Group], query_x: np.ndarray) -> np.ndarray:
    """The logits [Q, N] of queries [Q, F] by logistic regression on all known groups."""
    x, y = (np.concatenate(parts) for parts in zip(*known, strict=True))
    rows = np.random.default_rng(0).permutation(len(x))[:_ROWS]
    return logistic_regression(spectrum(x[rows][None], query_x[None]), y[rows][None])[0]


def quadratic(x: np.ndarray) -> np.ndarray:
    """1, all F features and, unless F is large, all products of two, for x [n, F]."""
    x = np.asarray(x, np.float64)
    ones = np.ones([len(x), 1])
    if x.shape[1] > _MOST_PRODUCTS:
        return np.concatenate([ones, x], 1)
    first, second = np.triu_indices(x.shape[1])
    return np.concatenate([ones, x, x[:, first] * x[:, second]], 1)


def _solved(square: np.ndarray, product: np.ndarray, penalty: float) -> np.ndarray:
    """The weights of a ridge regression, from XᵀX and Xᵀy."""
    return np.linalg.solve(square + penalty * np.eye(len(square)), product)


def _dual(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """The same, for few examples with many features."""
    return x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
