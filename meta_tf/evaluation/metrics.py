"""Metrics of one task, and their confidence interval over tasks."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.checks import check_choice
from meta_tf.network.masks import mask_of, masked_mean
from meta_tf.types import Tensor


def accuracy(y: Tensor, predictions: Tensor) -> Tensor:
    """The share of right answers in each task: labels [T, Q], logits [T, Q, N] → [T]."""
    right = tf.argmax(predictions, -1, tf.int32) == tf.cast(y, tf.int32)
    right = tf.cast(right, tf.float32)
    return masked_mean(right, mask_of(predictions), range(1, len(y.shape)))


def mse(y: Tensor, predictions: Tensor) -> Tensor:
    """The mean squared error of each task: [T, Q, ...] → [T]."""
    squares = tf.square(tf.cast(predictions, tf.float32) - tf.cast(y, tf.float32))
    return masked_mean(squares, mask_of(predictions), range(1, len(squares.shape)))


TASK_METRICS = {"accuracy": accuracy, "mse": mse}


@keras.saving.register_keras_serializable("meta_tf")
class TaskInterval(keras.metrics.Metric):
    """The half-width of the 95 % confidence interval of a metric over tasks, for Keras.

    With m_t the metric of task t,

        1.96 σ(m) / √n,   over the n tasks seen since the last reset.

    Args:
      metric: `"accuracy"` or `"mse"`.
      name: the name in logs; `<metric>_ci95` unless given.

    Example:
      >>> interval = TaskInterval("mse")
      >>> interval.update_state(tf.zeros([2, 3, 1]), tf.ones([2, 3, 1]))
      >>> float(interval.result())
      0.0
    """

    def __init__(self, metric: str, name: str | None = None, **options: Any):
        check_choice("metric", metric, tuple(TASK_METRICS))
        super().__init__(name=name or f"{metric}_ci95", **options)
        self.metric = metric
        # In float64: the difference of two large sums is what is left of them. And sums, as
        # Keras adds up the variables of several replicas.
        self._totals = [
            self.add_variable((), initializer="zeros", dtype="float64", name=n)
            for n in ("count", "sum", "square")
        ]

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> None:
        del sample_weight
        values = tf.cast(TASK_METRICS[self.metric](y_true, y_pred), tf.float64)
        news = (tf.ones_like(values), values, tf.square(values))
        for total, new in zip(self._totals, news, strict=True):
            total.assign_add(tf.reduce_sum(new))

    def result(self) -> Tensor:
        count, total, square = self._totals
        # σ² with the divisor n - 1; rounding may take it below zero.
        spread = tf.maximum(square - total * total / count, 0.0) / tf.maximum(count - 1.0, 1.0)
        return tf.cast(1.96 * tf.sqrt(spread / count), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "metric": self.metric}
