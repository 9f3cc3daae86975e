"""Reptile: learn each task by plain training, then move towards where it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import Algorithm, TaskResult
from meta_tf.algorithms.inner_loop import check_inner_loop, steps_to_take
from meta_tf.algorithms.repeat import record, repeat
from meta_tf.checks import check_choice, check_decay, check_integer
from meta_tf.network.network import Network
from meta_tf.types import Examples, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class Reptile(Algorithm):
    """Reptile: the outer loop follows the way that training on each task went.

    With U the inner optimiser's step on a minibatch of the support set,

        w_0 = w,   w_{i+1} = U(w_i),   i = 0 … inner_steps - 1
        meta-gradient: w - w_k

    No second derivatives, and the query set is only reported on. Use an outer
    SGD: with rate ε it makes the paper's step w ← w + ε (w_k - w); the paper lets ε
    fall linearly from 1 to 0.

    Args:
      inner_lr: the inner optimiser's step size.
      inner_steps: inner steps in meta-training; with one, Reptile is joint training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      inner_batch: examples of the support set a step, taken in turn and from the
        start again, without shuffling: give a support set in mixed order. All if None.
      optimizer: `"sgd"`, `"momentum"` or `"adam"`, which starts anew in each task.
      beta_1: decay of the mean gradient; the paper's Adam has 0.
      unroll: up to this many steps are written out, more run in a loop.

    Raises:
      ValueError: if a setting is out of its range.

    Example:
      >>> Reptile(inner_steps=5, inner_batch=10).optimizer
      'adam'

    Reference:
      Nichol, Achiam & Schulman 2018, On First-Order Meta-Learning Algorithms.
    """

    inner_lr: float = 0.001
    inner_steps: int = 5
    eval_steps: int | None = None
    inner_batch: int | None = None
    optimizer: str = "adam"
    beta_1: float = 0.0
    unroll: int = 10

    def __post_init__(self):
        check_inner_loop(self, least_steps=1)
        if self.inner_batch is not None:
            check_integer("inner_batch", self.inner_batch, at_least=1)
        check_choice("optimizer", self.optimizer, inner_optimizers.OPTIMIZERS)
        check_decay("beta_1", self.beta_1)

    def adapt(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        *,
        steps: Any = None,
        training: bool = False,
    ) -> Weights:
        steps = steps_to_take(self, steps, training)
        carry = (weights, inner_optimizers.initial_slots(self.optimizer, weights.model))
        step = self._step(network, training)
        adapted, _ = repeat(step, carry, support, steps, unroll=self.unroll)
        return network.settle(adapted, support.x, training=training)

    def trajectory(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        read: Callable[[Weights], Any],
        *,
        steps: int,
    ) -> Any:
        return record(
            self._step(network, training=False),
            (weights, inner_optimizers.initial_slots(self.optimizer, weights.model)),
            support,
            steps,
            lambda carry: read(network.settle(carry[0], support.x, training=False)),
        )

    def meta_gradients(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        scale: Any = 1.0,
        iteration: Any = 0,
    ) -> TaskResult:
        adapted = self.adapt(network, weights, support, training=True)
        loss, predictions, state = network.query_loss(adapted, query, training=True)
        way = [
            (w - k) * tf.cast(scale, w.dtype)
            for w, k in zip(weights.model, adapted.model, strict=True)
        ]
        return TaskResult(loss, predictions, state, way, {})

    def _step(self, network, training):
        positions = range(len(network.paths))

        def step(i, carry, support):
            weights, slots = carry
            gradients, state = network.support_gradients(
                weights, self._minibatch(support, i), positions, training=training
            )
            model, slots = inner_optimizers.update(
                self.optimizer,
                i,
                weights.model,
                gradients,
                slots,
                [self.inner_lr] * len(weights.model),
                beta_1=self.beta_1,
            )
            return weights._replace(model=model, state=state), slots

        return step

    def _minibatch(self, support, i):
        if self.inner_batch is None:
            return support
        size = tf.shape(tf.nest.flatten(support.x)[0])[0]
        taken = (i * self.inner_batch + tf.range(self.inner_batch)) % size
        return tf.nest.map_structure(lambda t: tf.gather(t, taken), support)
