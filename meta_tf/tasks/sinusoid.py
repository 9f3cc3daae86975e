"""Sinusoid regression, the first experiment of the MAML paper."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_integer, check_switch
from meta_tf.tasks.formula import between, check_range, formula_splits
from meta_tf.tasks.source import Source
from meta_tf.types import Batch


class Sinusoid(Source):
    """Sine waves of random amplitude and phase, without noise.

        y = A sin(x - φ),   A ~ U[amplitude],  φ ~ U[phase],  x ~ U[x_range]

    Args:
      shots: S, support points of a task; 10 or 5 in the paper.
      queries: Q, query points of a task; `shots` by default.
      amplitude: range of A.
      phase: range of φ in radians.
      x_range: range of x.
      grid: whether the query points are evenly spaced over `x_range`, including its
        ends, and not random: `query_y` is then the true curve, ready to plot.

    Raises:
      ValueError: if a count is below 1 or a range has its ends in the wrong order.

    Example:
      >>> tasks = meta_tf.tasks.Sinusoid(shots=5, queries=200, grid=True)
      >>> x, query_y = next(iter(tasks.test.batches(1)))
      >>> x["support_x"].shape, query_y.shape
      (TensorShape([1, 5, 1]), TensorShape([1, 200, 1]))

    References:
      Finn et al., Model-agnostic meta-learning, 2017, section 5.1.
    """

    def __init__(
        self,
        shots: int = 10,
        queries: int | None = None,
        amplitude: tuple[float, float] = (0.1, 5.0),
        phase: tuple[float, float] = (0.0, math.pi),
        x_range: tuple[float, float] = (-5.0, 5.0),
        grid: bool = False,
    ):
        queries = shots if queries is None else queries
        check_integer("shots", shots, at_least=1)
        check_integer("queries", queries, at_least=1)
        check_switch("grid", grid)
        for name, limits in [("amplitude", amplitude), ("phase", phase), ("x_range", x_range)]:
            check_range(name, limits)

        def episodes(u: tf.Tensor) -> Batch:
            a = between(amplitude, u[:, 0, tf.newaxis])
            phi = between(phase, u[:, 1, tf.newaxis])
            support_x = between(x_range, u[:, 2 : 2 + shots])
            query_x = between(x_range, u[:, 2 + shots :])
            if grid:
                points = np.linspace(*x_range, queries, dtype=np.float32)
                query_x = tf.broadcast_to(points, query_x.shape)
            x = {
                "support_x": support_x[..., tf.newaxis],
                "support_y": (a * tf.sin(support_x - phi))[..., tf.newaxis],
                "query_x": query_x[..., tf.newaxis],
            }
            return x, (a * tf.sin(query_x - phi))[..., tf.newaxis]

        splits = formula_splits(episodes, numbers=2 + shots + queries)
        super().__init__("regression", splits, shots=shots, queries=queries)
