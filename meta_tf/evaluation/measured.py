"""The metrics of tasks after each inner step, batch by batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.batch.map_tasks import map_tasks
from meta_tf.batch.sizes import cut, how_to_run, sizes_in
from meta_tf.data_checks.values import right_batch
from meta_tf.evaluation.task_metric import TaskMetric
from meta_tf.learner import MetaLearner
from meta_tf.network.masks import packed, unpacked
from meta_tf.types import Batch, Tensor


def valid_batches(learner: MetaLearner, batches: Iterable[Any]) -> Iterator[Batch]:
    """Valid batches as tensors."""
    done = 0
    for x, y in batches:
        sets = right_batch(learner.algorithm, learner.network, x, y, first=done)
        y = sets.pop("query_y")
        done += y.shape[0]
        yield sets, y
    if not done:
        raise ValueError("`split` must contain tasks. Received: a split without any.")


def measured(
    learner: MetaLearner,
    metrics: tuple[TaskMetric, ...],
    steps: int,
    batch_with: str,
    batches: Iterable[Batch],
    tasks_number: int,
) -> Iterator[tuple[Any, Tensor, Any, np.ndarray]]:
    """Batches with their predictions, as from `trajectory`, and metrics [T, steps + 1, M].

    There are metrics of the first `tasks_number` tasks; ValueError if one is not finite.
    """
    of_each, done = _of_each(metrics), 0
    for x, y in batches:
        predictions = learner.trajectory(x, steps, batch_with)
        left = tasks_number - done  # the last batch can contain more
        results = of_each(y, packed(predictions), sizes_in(x))
        values, finite = (result.numpy()[:left] for result in results)
        _check_finite(values, finite, done)
        yield x, y, predictions, values
        done += len(values)
        if done == tasks_number:
            return
    raise ValueError(
        f"`split` must contain `tasks_number` tasks. Received: a split that ends after {done} "
        f"tasks, and tasks_number={tasks_number}. Use fewer tasks."
    )


@functools.lru_cache(maxsize=8)
def _of_each(metrics: tuple[TaskMetric, ...]) -> Callable[..., tuple[Tensor, Tensor]]:
    """The function from query_y [T, Q, ...], packed predictions [T, steps + 1, Q, ...] and sizes.

    It returns each task's metrics and finiteness, and is compiled once for the same metrics.
    """

    def one(task: tuple[Tensor, Any, dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        y, after_each_step, sizes = task

        def value_of(predictions: Any) -> Tensor:
            real = cut({"query_y": y, "predictions": predictions, **sizes})
            given = real["query_y"], unpacked(real["predictions"])
            return tf.stack([tf.cast(metric(*given), tf.float32) for metric in metrics])

        value = tf.map_fn(value_of, after_each_step, fn_output_signature=tf.float32)
        # A metric can hide NaN: argmax of NaNs is the first class.
        predictions = after_each_step[0]
        axes = range(1, predictions.shape.rank)
        nan = tf.reduce_any(tf.math.is_nan(predictions), axes)
        return value, tf.reduce_all(tf.math.is_finite(value), -1) & ~nan

    def of_batch(y: Tensor, predictions: Any, sizes: dict[str, Tensor]) -> Any:
        return map_tasks(one, (y, predictions, sizes), **how_to_run(sizes, "auto", jit=False))

    return tf.function(of_batch, autograph=False)


def _check_finite(values: np.ndarray, finite: np.ndarray, first: int) -> None:
    if finite.all():
        return
    step = int(np.flatnonzero(~finite.all(0))[0])
    tasks = np.flatnonzero(~finite[:, step])
    raise ValueError(
        f"The results must be finite. Received: after {step} inner steps, {len(tasks)} of "
        f"{len(values)} tasks have predictions or a metric that are not finite; the first is task "
        f"{first + tasks[0]}. "
        + (
            "The learner's own weights are not finite, or the numbers of the tasks are too large."
            if step == 0
            else "The inner loop diverges: lower its `inner_lr`, or use fewer `steps`."
        )
    )
