"""The loss of `benchmarks.learn_longer`."""

import numpy as np

from benchmarks.learn_longer import PENALTY, left_out


def test_left_out_is_ridge_regression_on_the_others():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=[6, 8]).astype("float32"), np.eye(3, dtype="float32")[[0, 0, 1, 1, 2, 2]]
    expected = []
    for s in range(6):
        others, targets = np.delete(x, s, 0), np.delete(y, s, 0)
        w = np.linalg.solve(others.T @ others + PENALTY * np.eye(8), others.T @ targets)
        expected.append(x[s] @ w)
    np.testing.assert_allclose(left_out(x, y), expected, atol=1e-4)
