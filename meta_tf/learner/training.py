"""The steps of `fit` and `evaluate` of a `MetaLearner`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from meta_tf.batch.map_tasks import map_tasks
from meta_tf.batch.outer_step import outer_step
from meta_tf.batch.replicas import for_optimizer, logs_for_keras, replicas_here
from meta_tf.batch.sizes import cut, each_by_itself, how_to_run, sizes_in
from meta_tf.batch.whole_executions import WholeExecutions
from meta_tf.data_checks.finite import require_finite_step
from meta_tf.data_checks.values import looks_right, no_weights, right_batch_in_fit, tensors_of
from meta_tf.network.masks import packed, unpacked
from meta_tf.network.state import store_state
from meta_tf.require import after
from meta_tf.types import Tensor, Tensors

if TYPE_CHECKING:
    from meta_tf.learner.meta_learner import MetaLearner


def train(
    learner: MetaLearner, data: Any, checked: bool = True
) -> tuple[dict[str, Tensor], Tensor]:
    """Makes an outer step: the logs, and whether the results of all tasks are finite.

    If `checked`, it raises an error for invalid values, and before an update that is not finite.
    In float16, infinities are expected: the optimiser skips such steps. Otherwise the step is for
    a program of many steps.
    """
    x, y = _batch(learner, data, right_batch_in_fit if checked else tensors_of)
    jit = learner._jit if checked or learner._jit != "auto" else "whole"
    learner._range.note(x["support_x"])
    weights, optimizer = learner.weights_now, learner.optimizer
    checked = checked and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    step = outer_step(
        learner.algorithm,
        learner.network,
        weights,
        x,
        y,
        scale=optimizer.scale_loss(tf.ones([])),
        iteration=keras.ops.convert_to_tensor(optimizer.iterations),
        mode=learner.task_parallelism,
        # TensorFlow compiles only for the first device of a process.
        jit=jit if replicas_here(learner.distribute_strategy) == 1 else False,
        find_wrong=checked,
    )
    if checked:
        right = require_finite_step(learner.algorithm, weights, step.finite, step.first_wrong)
        step = after([right], step)
    gradients = [*step.gradients, *(step.meta_gradients[name] for name in learner._meta)]
    variables = [*learner.model.trainable_variables, *learner._meta.values()]
    # Updates that depend on no gradient, such as the step counter, also wait for the checks.
    with tf.control_dependencies([step.losses]):
        optimizer.apply(for_optimizer(gradients, optimizer), variables)
        store_state(learner.model, step.state_moved, step.counters, step.seeds)
        for name, variable in learner._moving.items():
            variable.assign_add(step.moved[name])
    # Outside of it: metrics that Keras makes now could not be initialised within.
    return _report(learner, x, y, step.predictions, step.losses), step.finite


def test(learner: MetaLearner, data: Any) -> dict[str, Tensor]:
    """Evaluates a batch: the logs. The loss is the tasks' own, without regularisers."""
    x, y = _batch(learner, data, right_batch_in_fit)
    predictions = learner(x, training=False)

    def loss(task: dict[str, Tensors]) -> Tensor:
        real = cut(task)
        return learner.network.mean_loss(real["query_y"], unpacked(real["predictions"]))

    tasks = {"query_y": y, "predictions": packed(predictions), **sizes_in(x)}
    losses = map_tasks(loss, tasks, **how_to_run(tasks, learner.task_parallelism, jit=False))
    return _report(learner, x, y, packed(predictions), losses)


def whole_executions(learner: MetaLearner) -> Any:
    """Keras's function of one or several outer steps, or one program for all of them."""
    if (
        learner.steps_per_execution == 1
        or learner.run_eagerly
        or learner._jit is False
        or learner.distribute_strategy.num_replicas_in_sync > 1
        or isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer)
        or tf.config.list_logical_devices("GPU")  # not tested on a GPU
    ):
        return learner.train_function
    return WholeExecutions(
        lambda data: train(learner, data),
        lambda data: train(learner, data, checked=False),
        lambda: [*learner.variables, *learner.metrics_variables, *learner.optimizer.variables],
        lambda batches: looks_right(learner.algorithm, learner.network, *batches),
        learner.train_function,
        learner.steps_per_execution,
    )


def _batch(
    learner: MetaLearner, data: Any, tensors: Callable[..., dict[str, Tensors]]
) -> tuple[dict[str, Tensors], Tensor]:
    """The parts `(x, y)` of a batch, as the tensors that `tensors` returns."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise no_weights("a batch with a third part")
    if y is None:
        raise ValueError(
            "A batch for `fit` and `evaluate` must be (x, y) with y = query_y [T, Q, ...]. "
            "Received: x alone."
        )
    sets = tensors(learner.algorithm, learner.network, x, y)
    return sets, sets.pop("query_y")


def _report(
    learner: MetaLearner, x: Any, y: Any, predictions: tuple[Tensors, ...], losses: Tensor
) -> dict[str, Tensor]:
    """Updates Keras's metrics, and returns the logs."""
    learner._check_metrics(y.shape, predictions[0].shape)
    next(m for m in learner.metrics if m.name == "loss").update_state(losses)
    if not sizes_in(x):
        return logs_for_keras(learner.compute_metrics(x, y, unpacked(predictions)))
    # Weights do not work here: Keras does not pass them to `metrics`.
    each_by_itself(
        lambda task: learner.compute_metrics(task, task["query_y"], unpacked(task["predictions"])),
        {**x, "query_y": y, "predictions": predictions},
    )
    return logs_for_keras(learner.get_metrics_result())
