"""Regression on the outputs of hidden one-layer networks."""

from __future__ import annotations

import tensorflow as tf

from meta_tf.checks import check_integer
from meta_tf.tasks.examples import as_tasks
from meta_tf.tasks.formula import formula_splits, standard_normal
from meta_tf.tasks.source import Source
from meta_tf.types import Batch


class HiddenTeacher(Source):
    """Layers with random weights; each task is to imitate one of them.

        y = relu(x W + b),   W ~ N(0, 1) [inputs, outputs],  b ~ N(0, 1) [outputs],
                             x ~ N(0, 1) [inputs]

    Args:
      inputs: length of x.
      outputs: length of y.
      shots: S, support examples of a task. With fewer than `inputs` + 1, the teacher is
        undetermined, so the learner must use what all teachers have in common.
      queries: Q, query examples of a task; `shots` by default.

    Raises:
      ValueError: if a count is below 1.

    Example:
      >>> x, query_y = next(iter(meta_tf.tasks.HiddenTeacher().train.batches(4)))
      >>> x["support_x"].shape, query_y.shape
      (TensorShape([4, 10, 10]), TensorShape([4, 10, 5]))
    """

    def __init__(
        self, inputs: int = 10, outputs: int = 5, shots: int = 10, queries: int | None = None
    ):
        queries = shots if queries is None else queries
        counts = {"inputs": inputs, "outputs": outputs, "shots": shots, "queries": queries}
        for name, count in counts.items():
            check_integer(name, count, at_least=1)
        weights = inputs * outputs

        def episodes(u: tf.Tensor) -> Batch:
            z = standard_normal(u)
            kernel = tf.reshape(z[:, :weights], [-1, inputs, outputs])
            bias = z[:, tf.newaxis, weights : weights + outputs]
            x = tf.reshape(z[:, weights + outputs :], [-1, shots + queries, inputs])
            return as_tasks(x, tf.nn.relu(tf.matmul(x, kernel) + bias), shots)

        numbers = weights + outputs + (shots + queries) * inputs
        super().__init__(
            "regression", formula_splits(episodes, numbers), shots=shots, queries=queries
        )
