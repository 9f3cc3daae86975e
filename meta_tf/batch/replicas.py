"""What a step over all tasks asks of `tf.distribute`: two replicas do what one device would."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.types import Tensor


def share_of_tasks(count: Tensor) -> tuple[int | Tensor, Tensor]:
    """Where this replica's `count` tasks begin among those of all, and how many all have."""
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
    """The means over the tasks of all replicas, from the sums that each has over its own.

    A mean of the replicas' means would give the tasks of a short last batch more weight.
    """
    replica = tf.distribute.get_replica_context()
    if sums and replica.num_replicas_in_sync > 1:
        sums = replica.all_reduce("SUM", sums)
    return [s / tf.cast(total, s.dtype) for s in sums]


def replicas_here(strategy: tf.distribute.Strategy) -> int:
    """How many of a strategy's replicas this process runs: one for each of its devices."""
    if strategy.num_replicas_in_sync == 1:  # TensorFlow's default names no devices
        return 1
    return len(strategy.extended.worker_devices)


def workers_of(strategy: tf.distribute.Strategy) -> int:
    """How many processes a strategy's replicas are in."""
    return strategy.num_replicas_in_sync // replicas_here(strategy)


def logs_for_keras(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A replica's logs as Keras takes them.

    With several workers it means over the first axis of what the replicas return, and fails
    with scalars.
    """
    if workers_of(tf.distribute.get_strategy()) == 1:
        return logs
    return {name: tf.convert_to_tensor(value)[tf.newaxis] for name, value in logs.items()}


def for_optimizer(gradients: list[Tensor], optimizer: keras.optimizers.Optimizer) -> list[Tensor]:
    """Gradients to be given to `optimizer.apply` on each replica, from its shares of the mean.

    A Keras optimiser adds up what the replicas give it, after it has clipped each of them. Where
    it would clip, or look for infinities, the shares are therefore added up and clipped here, and
    divided by the number of replicas, which leaves nothing to be clipped.
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
