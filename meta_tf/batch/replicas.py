"""Makes a step with several replicas of `tf.distribute` compute the same as on one device."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.types import Tensor


def share_of_tasks(count: Tensor) -> tuple[int | Tensor, Tensor]:
    """The index of this replica's first task among those of all, and the number of all tasks.

    Args:
      count: the number of this replica's tasks.
    """
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return 0, count
    counts = of_each_replica(count)
    before = tf.range(replica.num_replicas_in_sync) < replica.replica_id_in_sync_group
    return tf.reduce_sum(tf.where(before, counts, 0)), tf.reduce_sum(counts)


def of_each_replica(number: Tensor) -> Tensor:
    """What this replica and the others have of a whole number, [replicas]."""
    replica = tf.distribute.get_replica_context()
    replicas = replica.num_replicas_in_sync
    if replicas == 1:
        return number[tf.newaxis]
    mine = tf.range(replicas) == replica.replica_id_in_sync_group
    return replica.all_reduce("SUM", tf.where(mine, number, 0))


def mean_of_sums(sums: list[Tensor], total: Tensor) -> list[Tensor]:
    """The means over the tasks of all replicas, from each replica's sums over its own tasks.

    A mean of the replicas' means would give more weight to the tasks of smaller shares.
    """
    replica = tf.distribute.get_replica_context()
    if sums and replica.num_replicas_in_sync > 1:
        sums = replica.all_reduce("SUM", sums)
    return [s / tf.cast(total, s.dtype) for s in sums]


def replicas_here(strategy: tf.distribute.Strategy) -> int:
    """The number of a strategy's replicas in this process: one for each of its devices."""
    if strategy.num_replicas_in_sync == 1:  # TensorFlow's default names no devices
        return 1
    return len(strategy.extended.worker_devices)


def workers_of(strategy: tf.distribute.Strategy) -> int:
    """The number of processes that share a strategy's replicas."""
    return strategy.num_replicas_in_sync // replicas_here(strategy)


def logs_for_keras(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A replica's logs in the form that Keras needs.

    With several workers, Keras averages the replicas' logs over their first axis, and fails
    with scalars.
    """
    if workers_of(tf.distribute.get_strategy()) == 1:
        return logs
    return {name: tf.convert_to_tensor(value)[tf.newaxis] for name, value in logs.items()}


def for_optimizer(gradients: list[Tensor], optimizer: keras.optimizers.Optimizer) -> list[Tensor]:
    """The gradients to pass to `optimizer.apply` on each replica, from its shares of the mean.

    A Keras optimiser clips each replica's gradients and then sums them. If it clips gradients or
    checks them for infinities, this function therefore sums and clips the shares first, and
    divides by the number of replicas, so that the optimiser has nothing left to clip.
    """
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1 or not _looks_at_the_whole(optimizer):
        return gradients
    whole = _clipped(replica.all_reduce("SUM", gradients), optimizer)
    return [g / replica.num_replicas_in_sync for g in whole]


def _looks_at_the_whole(optimizer: Any) -> bool:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return True
    return bool(optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue)


def _clipped(gradients: list[Tensor], optimizer: Any) -> list[Tensor]:
    # The limits are meant for unscaled gradients.
    scale = tf.cast(optimizer.scale_loss(tf.ones([])), gradients[0].dtype)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if optimizer.clipnorm:
        return [tf.clip_by_norm(g, scale * optimizer.clipnorm) for g in gradients]
    if optimizer.global_clipnorm:
        return tf.clip_by_global_norm(gradients, scale * optimizer.global_clipnorm)[0]
    if optimizer.clipvalue:
        limit = scale * optimizer.clipvalue
        return [tf.clip_by_value(g, -limit, limit) for g in gradients]
    return gradients
