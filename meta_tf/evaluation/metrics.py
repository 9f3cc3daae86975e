"""Metrics of one task, and their confidence interval over tasks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf import gaussian
from meta_tf.checks import check_choice
from meta_tf.network.masks import mask_of, masked_mean
from meta_tf.types import Tensor


def accuracy(y: Tensor, predictions: Tensor) -> Tensor:
    """The fraction of correct predictions in each task: labels [T, Q], logits [T, Q, N] → [T]."""
    # Not `==`, whose result has an unknown rank if the number of tasks is unknown.
    right = tf.equal(tf.argmax(predictions, -1, tf.int32), tf.cast(y, tf.int32))
    return _mean(right, predictions)


def mse(y: Tensor, predictions: Tensor) -> Tensor:
    """The mean squared error of each task: [T, Q, ...] → [T].

    Of predictions [T, Q, 2 D], means and scales, it is that of the means.
    """
    means, targets, given = predictions, tuple(y.shape), tuple(predictions.shape)
    if len(targets) > 2 and targets[:-1] == given[:-1] and 2 * targets[-1] == given[-1]:
        means, _ = gaussian.mean_and_scale(predictions)
    return _mean(tf.square(tf.cast(means, tf.float32) - tf.cast(y, tf.float32)), predictions)


def log_likelihood(y: Tensor, predictions: Tensor) -> Tensor:
    """The mean log-density of a task's targets: [T, Q, ..., D], [T, Q, ..., 2 D] → [T]."""
    return _mean(gaussian.log_likelihood(y, predictions), predictions)


def crps(y: Tensor, predictions: Tensor) -> Tensor:
    """The mean continuous ranked probability score, in the targets' unit; see `gaussian.crps`."""
    return _mean(gaussian.crps(y, predictions), predictions)


def coverage_90(y: Tensor, predictions: Tensor) -> Tensor:
    """The fraction of a task's targets inside their central 90 % interval."""
    return _mean(gaussian.coverage(y, predictions, 0.9), predictions)


def _mean(values: Tensor, predictions: Tensor) -> Tensor:
    """The mean of values [T, Q, ...] over each task, without those that a mask excludes."""
    values = tf.cast(values, tf.float32)
    return masked_mean(values, mask_of(predictions), range(1, len(values.shape)))


OF_GAUSSIANS = {"log_likelihood": log_likelihood, "crps": crps, "coverage_90": coverage_90}
TASK_METRICS = {"accuracy": accuracy, "mse": mse, **OF_GAUSSIANS}


@keras.saving.register_keras_serializable("meta_tf")
class TaskMean(keras.metrics.Mean):
    """The mean of a metric over tasks, for Keras.

    Args:
      metric: `"accuracy"`, `"mse"`, or of means and scales `"log_likelihood"`, `"crps"` or
        `"coverage_90"`.
      name: the name in logs; that of the metric unless given.

    Example:
      >>> mean = TaskMean("coverage_90")
      >>> mean.update_state(tf.zeros([2, 3, 1]), tf.ones([2, 3, 2]))   # means 1, scales 1
      >>> float(mean.result())
      1.0
    """

    def __init__(self, metric: str, name: str | None = None, **options: Any):
        check_choice("metric", metric, tuple(TASK_METRICS))
        super().__init__(name=name or metric, **options)
        self.metric = metric

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> None:
        del sample_weight
        super().update_state(TASK_METRICS[self.metric](y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "metric": self.metric}


@keras.saving.register_keras_serializable("meta_tf")
class TaskInterval(keras.metrics.Metric):
    """The half-width of the 95 % confidence interval of a metric over tasks, for Keras.

    With m_t the metric of task t,

        1.96 σ(m) / √n,   over the n tasks seen since the last reset.

    Args:
      metric: as for `TaskMean`.
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
        # In float64, because σ² is a small difference of two large sums. Sums, because Keras
        # adds up the variables of several replicas.
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
        # σ² with the divisor n - 1; rounding can make it negative.
        spread = tf.maximum(square - total * total / count, 0.0) / tf.maximum(count - 1.0, 1.0)
        return tf.cast(1.96 * tf.sqrt(spread / count), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "metric": self.metric}


def mean_and_interval(per_task: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over tasks [n, ...] and half-width of the 95 % interval, 1.96 σ / √n.

    σ has the divisor n - 1. This is a normal approximation for independent tasks and large n.
    """
    values = np.asarray(per_task, np.float64)
    return values.mean(0), 1.96 * values.std(0, ddof=1) / np.sqrt(len(values))


def of_groups(per_task: np.ndarray, groups: int | None) -> np.ndarray:
    """The means of each group [groups, ...], of which task i belongs to group i % groups.

    Tasks of one group are not independent: an interval over all tasks would be too narrow for new
    groups. With a single group, or None, the tasks themselves.
    """
    if groups is None or groups == 1:
        return per_task
    return np.stack(
        [per_task[group::groups].mean(0) for group in range(min(groups, len(per_task)))]
    )
