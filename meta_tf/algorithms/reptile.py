"""Reptile: train on each task, then move the initial weights towards the result."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import TaskResult
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.checks import check_choice, check_decay, check_integer
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class Reptile(InnerLoop):
    """Reptile: the outer loop follows the displacement of the weights by training on each task.

    With U the inner optimiser's step on a minibatch of the support set,

        w_0 = w,   w_{i+1} = U(w_i),   i = 0 … inner_steps - 1
        meta-gradient: w - w_k

    There are no second derivatives, and the query set is used only for reporting. Use SGD as
    the outer optimiser: with learning rate ε it takes the paper's step w ← w + ε (w_k - w).
    The paper decreases ε linearly from 1 to 0.

    Args:
      inner_lr: the inner optimiser's step size.
      inner_steps: inner steps in meta-training; with one, Reptile is joint training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      inner_batch: support examples per step; all if None. Steps cycle through the support set
        without shuffling, so pass it in mixed order.
      optimizer: `"sgd"`, `"momentum"` or `"adam"`; its slots start at zero in each task.
      beta_1: decay of the mean gradient; the paper's Adam uses 0.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are unrolled; more run in a loop.

    Raises:
      ValueError: if a setting is out of range.

    Example:
      >>> Reptile(inner_steps=5, inner_batch=10).optimizer
      'adam'

    Reference:
      Nichol, Achiam & Schulman 2018, On First-Order Meta-Learning Algorithms.
    """

    inner_lr: float = 0.001
    inner_steps: int = 5
    inner_batch: int | None = None
    optimizer: str = "adam"
    beta_1: float = 0.0
    unroll: int = dataclasses.field(default=10, kw_only=True)

    least_steps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_batch is not None:
            check_integer("inner_batch", self.inner_batch, at_least=1)
        check_choice("optimizer", self.optimizer, inner_optimizers.OPTIMIZERS)
        check_decay("beta_1", self.beta_1)

    def memory(self, network: Network, start: Weights, *, training: bool) -> Tensors:
        return inner_optimizers.initial_slots(self.optimizer, self.fast(network, start))

    def minibatch(self, i: int | Tensor, support: Examples) -> Examples:
        if self.inner_batch is None:
            return support
        size = tf.shape(tf.nest.flatten(support.x)[0])[0]
        taken = (i * self.inner_batch + tf.range(self.inner_batch)) % size
        return tf.nest.map_structure(lambda t: tf.gather(t, taken), support)

    def change(
        self,
        network: Network,
        i: int | Tensor,
        state: LoopState,
        gradients: list[Tensor],
        start: Weights,
        *,
        training: bool,
    ) -> LoopState:
        fast, slots = inner_optimizers.update(
            self.optimizer,
            i,
            state.fast,
            gradients,
            state.memory,
            [self.inner_lr] * len(state.fast),
            beta_1=self.beta_1,
        )
        return state._replace(fast=fast, memory=slots)

    def meta_gradients(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        scale: float | Tensor = 1.0,
        iteration: int | Tensor = 0,
    ) -> TaskResult:
        adapted = self.adapt(network, weights, support, training=True)
        loss, predictions, state = self.query_loss(network, adapted, query)
        displacement = [
            (w - k) * tf.cast(scale, w.dtype)
            for w, k in zip(weights.model, adapted.model, strict=True)
        ]
        return TaskResult(loss, predictions, state, displacement, {}, {})
