"""The metric of `evaluate` for a single task, from a name, a function or a Keras metric."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from meta_tf.checks import check_choice
from meta_tf.data_checks.metrics import check_metrics
from meta_tf.data_checks.targets import check_labels
from meta_tf.evaluation.metrics import OF_GAUSSIANS, TASK_METRICS
from meta_tf.learner import MetaLearner
from meta_tf.network.check_loss import check_values
from meta_tf.network.losses import ignored_class, is_gaussian, loss_function, loss_name
from meta_tf.network.masks import both, mask_of, masked_mean, packed, unpacked, with_mask
from meta_tf.types import Tensor, Tensors

TaskMetric: TypeAlias = Callable[[Tensor, Tensors], Tensor]
"""Maps one task's `query_y` [Q, ...] and predictions [Q, ...] to a scalar."""


def check_metric(metric: Any) -> None:
    """Raises ValueError unless `metric` is None, a name, a function or a Keras metric."""
    if isinstance(metric, type):
        raise ValueError(
            f"`metric` must be an object. Received: the class {metric.__name__}. Make one: "
            f"{metric.__name__}()."
        )
    if metric is not None and not callable(metric):
        check_choice("metric", metric, (*TASK_METRICS, "loss"))


def task_metrics(learner: MetaLearner, metric: Any, x: Any, y: Any) -> dict[str, TaskMetric]:
    """The metrics of `evaluate` by name, for a learner and its first batch.

    The first is the one to report after each step. Others follow if `metric` is None.
    """
    others = OF_GAUSSIANS if metric is None and is_gaussian(learner.network.loss) else ()
    return dict(_task_metric(learner, name, x, y) for name in (metric, *others))


def _task_metric(learner: MetaLearner, metric: Any, x: Any, y: Any) -> tuple[str, TaskMetric]:
    outputs = learner.compute_output_spec(x).shape
    metric = _default(learner, y, outputs) if metric is None else metric
    if metric == "accuracy":
        if len(y.shape) != len(outputs) - 1:
            raise ValueError(
                f"`metric='accuracy'` needs class numbers {list(outputs[:-1])}. Received: "
                f"query_y of shape {tuple(y.shape)}. Use 'mse' or 'loss'."
            )
        check_labels(learner.algorithm, learner.network, "query_y", y)
    gaussian = is_gaussian(learner.network.loss)
    if metric == "mse" and tuple(y.shape) != tuple(outputs) and not gaussian:
        raise ValueError(
            f"`metric='mse'` needs targets of the predictions' shape {tuple(outputs)}. Received: "
            f"query_y of shape {tuple(y.shape)}. Use 'accuracy' or 'loss'."
        )
    if metric in tuple(OF_GAUSSIANS) and not gaussian:
        raise ValueError(
            f"`metric={metric!r}` needs predictions of means and scales, with "
            f"meta_tf.GaussianLoss. Received: the loss {loss_name(learner.network.loss)}."
        )
    if not (isinstance(metric, str) and metric in TASK_METRICS):
        check_metrics("metric", [metric], y.shape, outputs)
    if isinstance(metric, keras.metrics.Metric):
        return metric.name, _afresh(metric, y[0], outputs[1:])
    if isinstance(metric, str):
        if metric == "loss":
            return "loss", learner.network.mean_loss
        ignored = ignored_class(learner.network.loss) if metric == "accuracy" else None
        return metric, _of_one(TASK_METRICS[metric], ignored)
    mean_of = _mean_of if isinstance(metric, Hashable) else _mean_of.__wrapped__
    return getattr(metric, "__name__", type(metric).__name__), mean_of(metric)


# Returns the same function for the same metric, so that compiled code can be reused.
@functools.lru_cache(maxsize=8)
def _of_one(metric: Callable[[Tensor, Tensors], Tensor], ignored: int | None) -> TaskMetric:
    def of_one(y: Tensor, predictions: Tensors) -> Tensor:
        if ignored is not None:
            counts = tf.cast(y, tf.float32) != float(ignored)
            predictions = with_mask(predictions, both(mask_of(predictions), counts))
        batch = tf.nest.map_structure(lambda t: t[tf.newaxis], packed(predictions))
        return metric(y[tf.newaxis], unpacked(batch))[0]

    return of_one


@functools.lru_cache(maxsize=8)
def _mean_of(metric: Callable[[Any, Any], Any]) -> TaskMetric:
    def mean_of(y: Tensor, predictions: Tensors) -> Tensor:
        values = metric(y, predictions)
        check_values("metric", values, predictions)
        mask = both(mask_of(predictions), mask_of(values))
        return masked_mean(tf.cast(values, tf.float32), mask)

    return mean_of


def _default(learner: MetaLearner, y: Any, outputs: Any) -> str:
    if y.dtype.is_integer and len(outputs) == len(y.shape) + 1 and outputs[-1] != 1:
        return "accuracy"
    if is_gaussian(learner.network.loss):
        return "mse"
    is_mse = loss_function(learner.network.loss) is keras.losses.mean_squared_error
    return "mse" if is_mse else "loss"


def _afresh(metric: keras.metrics.Metric, y: Tensor, outputs: Any) -> TaskMetric:
    """A Keras metric for each task separately; its own state is not used and does not change."""
    if not metric.variables:  # some create them on first use
        metric.update_state(y, tf.zeros(outputs))
        metric.reset_state()

    def value(y: Tensor, predictions: Tensors) -> Tensor:
        seen = metric.stateless_update_state(metric.stateless_reset_state(), y, predictions)
        result = metric.stateless_result(seen)
        if isinstance(result, dict) or len(result.shape):
            raise ValueError(
                f"`metric` must give one number for a task. Received: {metric.name!r}, which "
                "gives several. Write a function (query_y, predictions) that returns one of them."
            )
        return tf.cast(result, tf.float32)

    return value
