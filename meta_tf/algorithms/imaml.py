"""iMAML: the meta-gradient from where the inner loop ends, not from the way there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import Algorithm, TaskResult
from meta_tf.algorithms.inner_loop import Descent, check_inner_loop, steps_to_take
from meta_tf.checks import (
    as_patterns,
    check_choice,
    check_decay,
    check_integer,
    check_not_negative,
    check_number,
)
from meta_tf.layers import classifiers
from meta_tf.network.network import Network
from meta_tf.types import Examples, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class IMAML(Algorithm):
    """Implicit MAML: an inner loop that is held near its start, and the implicit gradient.

    The adapted weights φ approach the minimum of a regularised support loss,

        G(φ) = L_S(φ) + λ/2 |φ - w|²
        φ_0 = w,   φ_{i+1} = φ_i - α ∇G(φ_i),   i = 0 … inner_steps - 1

    at which, by the implicit function theorem and with H = ∇²L_S(φ),

        meta-gradient: v = (I + H/(λ + δ))⁻¹ ∇L_Q(φ),   exact for δ = 0,

    solved by conjugate gradients with products of H alone. So memory and time of the
    meta-gradient do not grow with the inner steps; its error does with their distance
    from the minimum. I + H/(λ + δ) has to be positive definite: λ + δ larger than the
    steepest downward bend of L_S. For weights ψ that do not adapt it is
    ∂L_Q/∂ψ - (∂²L_S/∂ψ∂φ) v / (λ + δ).

    Args:
      inner_lr: the step size α of the inner loop, for the mean loss over the support set.
      inner_steps: inner steps in meta-training; enough to come near the minimum.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      regularization: λ; the paper takes 2 for Omniglot. The larger, the nearer φ stays to w.
      cg_steps: steps of conjugate gradients; the paper takes 5.
      damping: δ, added to λ in the meta-gradient alone: 0 for the exact one; the larger, the
        steadier where L_S bends downwards, and the nearer to first-order MAML. The authors'
        program has a matrix of 2I + H/12 for λ = 2, which is δ = 22 and half the length.
      optimizer: the inner optimiser, `"sgd"`, `"momentum"` or `"adam"`.
      momentum: β₁ of momentum and Adam.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are written out; more run in a loop.

    Raises:
      ValueError: if a setting is out of its range, or at the construction of the learner
        if `adapted` matches no weight.

    Example:
      >>> learner = meta_tf.MetaLearner(meta_tf.models.mlp(), IMAML(inner_lr=0.05), loss="mse")
      >>> learner.compile(optimizer="adam")
      >>> tasks = meta_tf.tasks.Sinusoid(shots=10)
      >>> history = learner.fit(tasks.train.batches(5), steps_per_epoch=1, verbose=0)

    Reference:
      Rajeswaran, Finn, Kakade & Levine 2019, Meta-Learning with Implicit Gradients.
    """

    inner_lr: float = 0.01
    inner_steps: int = 16
    eval_steps: int | None = None
    regularization: float = 2.0
    cg_steps: int = 5
    damping: float = 0.0
    optimizer: str = "sgd"
    momentum: float = 0.9
    adapted: str | tuple[str, ...] | None = None
    unroll: int = 4

    def __post_init__(self):
        check_inner_loop(self)
        check_number("regularization", self.regularization, above=0)
        check_integer("cg_steps", self.cg_steps, at_least=1)
        check_not_negative("damping", self.damping)
        check_choice("optimizer", self.optimizer, inner_optimizers.OPTIMIZERS)
        check_decay("momentum", self.momentum)
        object.__setattr__(self, "adapted", as_patterns("adapted", self.adapted))

    def check(self, network: Network) -> None:
        network.positions(self.adapted)

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
        descent, start = self._descent(network, weights, training)
        moment = descent.steps(start, weights, support, steps, self.unroll)
        return descent.weights_at(moment, weights, support)

    def trajectory(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        read: Callable[[Weights], Any],
        *,
        steps: int,
    ) -> Any:
        descent, start = self._descent(network, weights, training=False)
        return descent.trajectory(start, weights, support, steps, read)

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
        descent, start = self._descent(network, weights, training=True)
        moment = descent.steps(start, weights, support, self.inner_steps, self.unroll)
        adapted = tf.nest.map_structure(tf.stop_gradient, descent.at(moment, weights))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(adapted.model)
            settled = network.settle(adapted, support.x, training=True)
            loss, predictions, state = network.query_loss(settled, query, training=True)
            scaled = loss * tf.cast(scale, loss.dtype)
        direct = tape.gradient(
            scaled, adapted.model, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        gradients = self._implicit(network, adapted, support, direct)
        return TaskResult(loss, predictions, state, gradients, {})

    def _implicit(self, network, adapted, support, direct):
        """The meta-gradient, from the query loss's gradient at the adapted weights."""
        positions = network.positions(self.adapted)
        direct = [tf.convert_to_tensor(g) for g in direct]
        held = self.regularization + self.damping
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(adapted.model)
            slope, _ = network.support_gradients(adapted, support, positions, training=True)

        def curved(v, of):
            """∂⟨∇L_S, v⟩ / ∂of / (λ + δ)."""
            found = tape.gradient(
                slope, of, output_gradients=v, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return [tf.convert_to_tensor(f) / held for f in found]

        fast = [adapted.model[p] for p in positions]
        v = classifiers.conjugate_gradient(
            lambda v: [a + h for a, h in zip(v, curved(v, fast), strict=True)],
            [direct[p] for p in positions],
            self.cg_steps,
        )
        gradients = list(direct)
        for p, one in zip(positions, v, strict=True):
            gradients[p] = one
        others = [p for p in range(len(direct)) if p not in positions]
        mixed = curved(v, [adapted.model[p] for p in others]) if others else []
        for p, one in zip(others, mixed, strict=True):
            gradients[p] = direct[p] - one
        return gradients

    def _descent(self, network, weights, training):
        """The inner loop, and the moment that it starts from."""
        positions = network.positions(self.adapted)

        def change(i, moment, gradients, weights):
            held = [
                g + self.regularization * (w - weights.model[p])
                for p, w, g in zip(positions, moment.fast, gradients, strict=True)
            ]
            rates = [self.inner_lr] * len(held)
            fast, slots = inner_optimizers.update(
                self.optimizer, i, moment.fast, held, moment.memory, rates, beta_1=self.momentum
            )
            return moment._replace(fast=fast, memory=slots)

        descent = Descent(network, positions, change, training)
        start = descent.start(weights)
        return descent, start._replace(
            memory=inner_optimizers.initial_slots(self.optimizer, start.fast)
        )
