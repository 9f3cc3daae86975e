"""Batches of tasks for the replicas of a `tf.distribute` strategy, and checks of its limits."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from meta_tf.batch.replicas import replicas_here, workers_of
from meta_tf.types import Tensor, Tensors


def check_replicas(learner: keras.Model) -> None:
    """Raises ValueError if a setting does not work with several replicas in TensorFlow."""
    replicas = learner.distribute_strategy.num_replicas_in_sync
    if replicas == 1:
        return
    if learner.steps_per_execution > 1:
        raise ValueError(
            f"`steps_per_execution` must be 1 with {replicas} replicas. Received: "
            f"{learner.steps_per_execution}. TensorFlow cannot run a step over several replicas "
            "within its loop over steps: one of that loop's placeholders has no value there."
        )
    optimizer: Any = learner.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of float16
    if getattr(optimizer, "gradient_accumulation_steps", None):
        raise ValueError(
            f"`gradient_accumulation_steps` must be None with {replicas} replicas. Received: "
            f"{optimizer.gradient_accumulation_steps}. With accumulation, Keras updates inside a "
            "condition, where TensorFlow cannot synchronise replicas. Use more tasks per batch."
        )


def spread(
    strategy: tf.distribute.Strategy, data: Any, options: dict[str, Any], steps: str
) -> tuple[Any, dict[str, Any]]:
    """Batches for all replicas, and the options of the Keras call: `(data, options)`.

    Each replica gets its share of the tasks of every batch, in the order of the replicas, for
    any number of tasks. Within one process, TensorFlow does that. With several workers, each
    gets the whole dataset and takes its share of every batch.

    Args:
      strategy: the strategy.
      data: what `fit` or `evaluate` was given; None for nothing.
      options: the other arguments of the call.
      steps: the name of the option for the number of batches. It is set for a finite dataset.

    Raises:
      ValueError: if a batch has fewer tasks than there are replicas; or if, with several
        workers, `data` is not a `tf.data.Dataset`.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 or data is None or isinstance(data, tf.distribute.DistributedDataset):
        return data, options
    if isinstance(data, tf.data.Dataset):
        _check_tasks(data.element_spec, replicas)
    if workers_of(strategy) == 1:
        return data, options
    if not isinstance(data, tf.data.Dataset):
        raise ValueError(
            "With several workers, batches must be a tf.data.Dataset, the same for all of them. "
            f"Received: {type(data).__name__}. Convert arrays with "
            "tf.data.Dataset.from_tensor_slices((x, y)).batch(tasks)."
        )
    whole = int(data.cardinality())
    here = replicas_here(strategy)

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        first = context.input_pipeline_id * here
        parts = _parts(data, range(first, first + here), replicas)
        # Endless for TensorFlow, so that workers need not synchronise to detect the end.
        return parts if whole == tf.data.UNKNOWN_CARDINALITY else parts.repeat()

    if whole >= 0 and options.get(steps) is None:
        options = {**options, steps: whole}
    return strategy.distribute_datasets_from_function(of_worker), options


def spec_of_share(iterator: Any) -> Any:
    """Shapes and types of one replica's share of a batch from Keras's iterator over epochs.

    Drawing a batch would work too, except for a bug in TensorFlow: occasionally, the process
    crashes when an iterator over several devices is deleted while it fetches the next batch.
    """
    whole = iterator._get_iterator().element_spec  # there is no public way to Keras's dataset
    return keras.tree.map_structure(lambda spec: getattr(spec, "_value_specs", [spec])[0], whole)


def _parts(data: tf.data.Dataset, mine: range, replicas: int) -> tf.data.Dataset:
    """The parts of every batch that belong to the replicas `mine`, one after another."""
    alone = not isinstance(data.element_spec, tuple)

    def part(replica: int, *batch: Any) -> Tensors:
        share = functools.partial(_share, replica=replica, replicas=replicas)
        return tf.nest.map_structure(share, batch[0] if alone else batch)

    if len(mine) == 1:
        return data.map(functools.partial(part, mine[0]))

    def each(*batch: Any) -> tf.data.Dataset:
        parts = [tf.data.Dataset.from_tensors(part(replica, *batch)) for replica in mine]
        return functools.reduce(lambda one, other: one.concatenate(other), parts)

    return data.flat_map(each)


def _share(tensor: Tensor, replica: int, replicas: int) -> Tensor:
    """A replica's tasks; the numbers of two replicas differ by at most one."""
    count = tensor.shape[0] or tf.shape(tensor)[0]
    return tensor[count * replica // replicas : count * (replica + 1) // replicas]


def _check_tasks(spec: Any, replicas: int) -> None:
    tasks = keras.tree.flatten(spec)[0].shape[0]
    if tasks is not None and tasks < replicas:
        raise ValueError(
            f"A batch must have at least one task for each of the {replicas} replicas. Received: "
            f"batches of {tasks} tasks."
        )
