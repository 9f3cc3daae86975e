"""One step of the outer loop: the mean of the tasks' meta-gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.batch.map_tasks import sum_tasks
from meta_tf.batch.replicas import mean_of_sums, of_each_replica, share_of_tasks
from meta_tf.batch.sizes import cut, how_to_run, padded
from meta_tf.network.finite import all_squares_finite, half_of_squares
from meta_tf.network.masks import packed
from meta_tf.network.network import Network
from meta_tf.network.seeds import seed_positions, split_seeds, with_seeds
from meta_tf.network.state import split_state
from meta_tf.types import Examples, Tensor, Tensors, Weights


class OuterStep(NamedTuple):
    """The results of a batch of T tasks.

    `losses`: of the query sets, [T]. `predictions`: for the query sets, [T, Q, ...], `packed`.
    `gradients` and `meta_gradients`: this replica's share of the mean meta-gradients over the
    tasks of all replicas, as in `TaskResult`; with one replica, the whole mean. `moved`: the
    mean change of the algorithm's non-trainable state, by name. `state_moved`, `counters` and
    `seeds`: the updates of the model's state, for `store_state`. `finite`: whether the results of
    all tasks are finite, on all replicas. `first_wrong`: if not, the number of the first task
    whose results are not, if `find_wrong`.
    """

    losses: Tensor
    predictions: tuple[Tensors, ...]
    gradients: list[Tensor]
    meta_gradients: dict[str, Tensor]
    moved: dict[str, Tensor]
    state_moved: dict[str, Tensor]
    counters: dict[str, Tensor]
    seeds: dict[str, Tensor]
    finite: Tensor
    first_wrong: Tensor


def outer_step(
    algorithm: Algorithm,
    network: Network,
    weights: Weights,
    x: dict[str, Tensors],
    y: Tensors,
    *,
    scale: Tensor,
    iteration: Tensor,
    mode: str,
    jit: bool | str,
    find_wrong: bool,
) -> OuterStep:
    """Learns each task of a batch independently, and computes the mean of their meta-gradients.

    Args:
      algorithm: the algorithm that learns a task.
      network: the model and its loss.
      weights: the current weights.
      x: the batch, `{"support_x", "support_y", "query_x"}`, each [T, ...]; a padded batch has
        sizes too (see `sizes`).
      y: its query targets, [T, Q, ...].
      scale: the loss scale of float16 training.
      iteration: the number of completed outer steps.
      mode: how the tasks run in parallel (see `map_tasks`), unless the batch is padded.
      jit: whether XLA compiles them, unless the batch is padded.
      find_wrong: whether to find the first task whose results are not finite, which an XLA
        program of the whole step cannot.
    """
    count = tf.shape(tf.nest.flatten(y)[0])[0]
    first, total = share_of_tasks(count)
    seeds, next_seeds = split_seeds(seed_positions(network.model), weights.state, total)
    seeds = {i: drawn[first : first + count] for i, drawn in seeds.items()}

    def learn(task: dict[str, Any], now: Any) -> tuple[Any, Any]:
        weights, scale, iteration = now
        state, real = with_seeds(weights.state, task["seeds"]), cut(task)
        result = algorithm.meta_gradients(
            network,
            tf.nest.map_structure(tf.identity, weights._replace(state=state)),
            Examples(real["support_x"], real["support_y"]),
            Examples(real["query_x"], real["query_y"]),
            scale=scale,
            iteration=tf.identity(iteration),
        )
        state_moved, counters = split_state(weights.state, result.state)
        gradients = (result.gradients, result.meta_gradients)
        predictions = padded(packed(result.predictions), task)
        return (result.loss, predictions, counters), (gradients, result.moved, state_moved)

    tasks, now = {**x, "query_y": y, "seeds": seeds}, (weights, scale, iteration)
    (losses, predictions, counters), (sums, *moves) = sum_tasks(
        lambda task: learn(task, now), tasks, **how_to_run(x, mode, jit)
    )
    gradients, meta_gradients = tf.nest.map_structure(lambda s: s / tf.cast(total, s.dtype), sums)
    means = mean_of_sums(tf.nest.flatten(moves), total)
    moved, state_moved = tf.nest.pack_sequence_as(moves, means)
    _check_moved(algorithm, network, moved)
    finite = all_squares_finite((losses, gradients, meta_gradients, moved, state_moved))
    wrong = tf.where(finite, total, first)
    if find_wrong:
        wrong = tf.cond(finite, lambda: total, lambda: first + _first_wrong(learn, tasks, now))
    first_wrong = tf.reduce_min(of_each_replica(wrong))
    return OuterStep(
        losses,
        predictions,
        gradients,
        meta_gradients,
        moved,
        state_moved,
        counters,
        next_seeds,
        tf.equal(first_wrong, total),
        first_wrong,
    )


def _first_wrong(learn: Callable[[Any, Any], tuple[Any, Any]], tasks: Any, now: Any) -> Tensor:
    """The number of the first task whose results are not finite.

    A step checks only the sums over all tasks, which takes few operations. If these are not
    finite, this function learns the tasks again in Python, one by one.
    """

    def look(*flat: Tensor) -> int:
        batch, now_ = tf.nest.pack_sequence_as((tasks, now), flat)
        count, squares = tf.nest.flatten(batch)[0].shape[0], []
        for t in range(count):
            (loss, *_), sums = learn(tf.nest.map_structure(lambda x, t=t: x[t], batch), now_)
            squares.append(float(half_of_squares((loss, sums))))
        # If each task is finite and only their sum is not, the task that contributes most.
        return int(np.argmax(np.where(np.isfinite(squares), squares, np.inf)))

    return tf.py_function(look, tf.nest.flatten((tasks, now)), tf.int32)


def _check_moved(algorithm: Algorithm, network: Network, moved: dict[str, Tensor]) -> None:
    """Raises ValueError unless the algorithm returns the changes of all its `moving` state."""
    named = algorithm.moving(network)
    if named.keys() != moved.keys():
        raise ValueError(
            f"{type(algorithm).__name__}.meta_gradients must return in `TaskResult.moved` the "
            f"change of each name in `moving`: {', '.join(named) or 'none'}. Received: "
            f"{', '.join(moved) or 'none'}. Override `meta_gradients` as well as `moving`."
        )
