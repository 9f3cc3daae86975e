"""What a step over all tasks asks of `tf.distribute`: two replicas do what one device would."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.types import Tensor


def share_of_tasks(count: Tensor) -> tuple[int | Tensor, Tensor]:
    """Where this replica's `count` tasks begin among those of all, and how many all have."""
    replica = tf.distribute.get_replica_context()
    replicas = replica.num_replicas_in_sync
    if replicas == 1:
        return 0, count
    numbers = tf.range(replicas)
    mine = replica.replica_id_in_sync_group
    counts = replica.all_reduce("SUM", tf.where(numbers == mine, count, 0))
    return tf.reduce_sum(tf.where(numbers < mine, counts, 0)), tf.reduce_sum(counts)


def mean_of_sums(sums: list[Tensor], total: Tensor) -> list[Tensor]:
    """The means over the tasks of all replicas, from the sums that each has over its own.

    A mean of the replicas' means would give the tasks of a short last batch more weight.
    """
    replica = tf.distribute.get_replica_context()
    if sums and replica.num_replicas_in_sync > 1:
        sums = replica.all_reduce("SUM", sums)
    return [s / tf.cast(total, s.dtype) for s in sums]


def for_optimizer(gradients: list[Tensor], optimizer: keras.optimizers.Optimizer) -> list[Tensor]:
    """Gradients to be given to `optimizer.apply` on each replica, from those of all tasks.

    A Keras optimiser clips on each replica and then adds up. The gradients are therefore
    clipped here, as a whole, and divided by the number of replicas, which leaves nothing
    to be clipped.
    """
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    if replicas == 1:
        return gradients
    return [g / replicas for g in _clipped(gradients, optimizer)]


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
