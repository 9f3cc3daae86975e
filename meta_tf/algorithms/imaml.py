"""iMAML: the implicit meta-gradient at the end of the inner loop, not through its steps."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import TaskResult, dense
from meta_tf.algorithms.conjugate_gradient import conjugate_gradient
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.checks import (
    check_choice,
    check_decay,
    check_integer,
    check_not_negative,
    check_number,
)
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class IMAML(InnerLoop):
    """Implicit MAML: a regularised inner loop, and the implicit gradient.

    The adapted weights φ approach the minimum of a regularised support loss,

        G(φ) = L_S(φ) + λ/2 |φ - w|²
        φ_0 = w,   φ_{i+1} = φ_i - α ∇G(φ_i),   i = 0 … inner_steps - 1

    at which, by the implicit function theorem and with H = ∇²L_S(φ),

        meta-gradient: v = (I + H/(λ + δ))⁻¹ ∇L_Q(φ),   exact for δ = 0,

    solved by conjugate gradients with products of H only. So the memory and time of the
    meta-gradient do not grow with the inner steps; its error grows with the distance of φ
    from the minimum. I + H/(λ + δ) must be positive definite: λ + δ must exceed the
    largest negative curvature of L_S. For weights ψ that do not adapt, the meta-gradient is
    ∂L_Q/∂ψ - (∂²L_S/∂ψ∂φ) v / (λ + δ).

    Args:
      inner_lr: the step size α of the inner loop, for the mean loss over the support set.
      inner_steps: inner steps in meta-training; use enough to get close to the minimum.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      regularization: λ; the paper uses 2 for Omniglot. A larger λ keeps φ closer to w.
      cg_steps: steps of conjugate gradients; the paper takes 5.
      damping: δ, added to λ only in the meta-gradient, which is exact for 0. A larger δ is
        more stable where L_S has negative curvature, and closer to first-order MAML. The
        authors' program uses the matrix 2I + H/12 for λ = 2, which is δ = 22 and half the
        length.
      optimizer: the inner optimiser, `"sgd"`, `"momentum"` or `"adam"`.
      momentum: β₁ of momentum and Adam.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are unrolled; more run in a loop.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if
        `adapted` matches no weight, or one with a constraint.

    Example:
      >>> learner = meta_tf.MetaLearner(meta_tf.models.mlp(), IMAML(inner_lr=0.05), loss="mse")
      >>> learner.compile(optimizer="adam")
      >>> tasks = meta_tf.tasks.Sinusoid(shots=10)
      >>> history = learner.fit(tasks.train.batches(5), steps_per_epoch=1, verbose=0)

    Reference:
      Rajeswaran, Finn, Kakade & Levine 2019, Meta-Learning with Implicit Gradients.
    """

    inner_steps: int = 16
    regularization: float = 2.0
    cg_steps: int = 5
    damping: float = 0.0
    optimizer: str = "sgd"
    momentum: float = 0.9
    unroll: int = dataclasses.field(default=4, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("regularization", self.regularization, above=0)
        check_integer("cg_steps", self.cg_steps, at_least=1)
        check_not_negative("damping", self.damping)
        check_choice("optimizer", self.optimizer, inner_optimizers.OPTIMIZERS)
        check_decay("momentum", self.momentum)

    def check(self, network: Network) -> None:
        super().check(network)
        for p in self.positions(network):
            if network.model.trainable_variables[p].constraint is not None:
                raise ValueError(
                    "`model` must not constrain weights that IMAML adapts: its meta-gradient is "
                    f"that of a minimum without constraints. Received: a constraint of "
                    f"{network.paths[p]!r}. Remove it, or use MAML."
                )

    def memory(self, network: Network, start: Weights, *, training: bool) -> Tensors:
        return inner_optimizers.initial_slots(self.optimizer, self.fast(network, start))

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
        held = [
            g + self.regularization * (w - w_0)
            for w, g, w_0 in zip(state.fast, gradients, self.fast(network, start), strict=True)
        ]
        rates = [self.inner_lr] * len(held)
        fast, slots = inner_optimizers.update(
            self.optimizer, i, state.fast, held, state.memory, rates, beta_1=self.momentum
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
        start = self.start(network, weights, support, training=True)
        state = self.run(network, start, support, self.inner_steps, training=True)
        end = tf.nest.map_structure(tf.stop_gradient, self.weights_at(network, state, start))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(end.model)
            settled = network.store_statistics(end, support.x, training=True)
            loss, predictions, after = self.query_loss(network, settled, query)
            scaled = loss * tf.cast(scale, loss.dtype)
        direct = tape.gradient(
            scaled, end.model, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        gradients = self._implicit(network, end, support, dense(direct))
        return TaskResult(loss, predictions, after, gradients, {}, {})

    def _implicit(
        self, network: Network, adapted: Weights, support: Examples, direct: list[Tensor]
    ) -> list[Tensor]:
        """The meta-gradient, computed from the query loss's gradient at the adapted weights."""
        positions = self.positions(network)
        held = self.regularization + self.damping
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(adapted.model)
            slope, _ = network.support_gradients(adapted, support, positions, training=True)

        def curved(v: list[Tensor], of: list[Tensor]) -> list[Tensor]:
            """∂⟨∇L_S, v⟩ / ∂of / (λ + δ)."""
            found = tape.gradient(
                slope, of, output_gradients=v, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return [f / held for f in dense(found)]

        fast = [adapted.model[p] for p in positions]
        v = conjugate_gradient(
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
