"""`InnerLoop`: learns a task in steps along the gradient of its support loss."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.algorithms.repeat import record, repeat
from meta_tf.checks import as_patterns, check_integer, check_number
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights

_MOST_STEPS = 10**6  # a training with more would never end


class LoopState(NamedTuple):
    """The state of an inner loop after some of its steps.

    `fast`: the tensors that adapt. `state`: the model's non-trainable state. `memory`: what a
    step keeps for the next one, for example an optimiser's slots.
    """

    fast: list[Tensor]
    state: list[Tensor]
    memory: Tensors


@dataclasses.dataclass(frozen=True)
class InnerLoop(Algorithm):
    """An algorithm that learns a task in steps.

    With L_S the loss on a task's support set,

        w_0 = start(w),   w_{i+1} = change(w_i, ∇L_S(w_i)),   i = 0 … steps - 1

    A subclass must define `change`. It may override where the loop starts (`start`), what
    one step keeps for the next (`memory`) and which tensors adapt (`fast` and `with_fast`).
    `repeat` and `first_order` control how gradients are computed through the steps.

    Args:
      inner_lr: the step size of the inner loop, for the *mean* loss over the support set.
      inner_steps: inner steps in meta-training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      adapted: which weights adapt; all if None. One or several patterns over the names
        of weights or layers: `"head"`, `"conv*"`, `"!norm*"` for all but those.
      unroll: up to this many inner steps are unrolled; more run in a loop that takes
        hardly any memory per step and about a third more time.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if
        `adapted` matches no weight.
    """

    inner_lr: float = 0.01
    inner_steps: int = 1
    eval_steps: int | None = None
    adapted: str | tuple[str, ...] | None = dataclasses.field(default=None, kw_only=True)
    unroll: int = dataclasses.field(default=8, kw_only=True)

    least_steps: ClassVar[int] = 0  # the minimum of `inner_steps`
    # Whether the meta-gradient treats ∇L_S as a constant; a field in algorithms with a choice.
    first_order = False

    def __post_init__(self) -> None:
        if not tf.is_tensor(self.inner_lr):  # an exported model takes it at run time
            check_number("inner_lr", self.inner_lr, above=0)
        check_integer("inner_steps", self.inner_steps, self.least_steps, at_most=_MOST_STEPS)
        if self.eval_steps is not None:
            check_integer("eval_steps", self.eval_steps, at_least=0)
        check_integer("unroll", self.unroll, at_least=0)
        object.__setattr__(self, "adapted", as_patterns("adapted", self.adapted))

    def check(self, network: Network) -> None:
        self.positions(network)

    def steps_to_evaluate(self) -> int:
        return int(self.inner_steps if self.eval_steps is None else self.eval_steps)

    def with_rate(self, rate: Tensor) -> Algorithm | None:
        return dataclasses.replace(self, inner_lr=rate)

    # --- what a subclass defines ---

    @abc.abstractmethod
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
        """The state after step i.

        Args:
          network: the model and its loss.
          i: the step's number, from 0.
          state: the tensors that adapt, the memory, and the model's state after the pass over
            the support set.
          gradients: ∇L_S, one for each of `state.fast`.
          start: the weights that the loop started from.
          training: whether this is part of meta-training.
        """

    def start(
        self, network: Network, weights: Weights, support: Examples, *, training: bool
    ) -> Weights:
        """The weights that the loop starts from; by default the initial weights."""
        del support, training
        initial = self.initial(network, weights)
        if initial is None:
            raise ValueError(
                f"{type(self).__name__} has no `initial` weights, so it must define where the "
                "inner loop starts. Override `start`."
            )
        return initial

    def memory(self, network: Network, start: Weights, *, training: bool) -> Tensors:
        """`LoopState.memory` before the first step; empty by default."""
        del network, start, training
        return ()

    def positions(self, network: Network) -> list[int]:
        """The indices in `Weights.model` of the weights that adapt."""
        return network.positions(self.adapted)

    def fast(self, network: Network, weights: Weights) -> list[Tensor]:
        """The tensors that adapt; by default the weights at `positions`."""
        return [weights.model[p] for p in self.positions(network)]

    def with_fast(self, network: Network, weights: Weights, fast: list[Tensor]) -> Weights:
        """The weights, with those that adapt replaced by `fast`."""
        model = list(weights.model)
        for p, w in zip(self.positions(network), fast, strict=True):
            model[p] = w
        return weights._replace(model=model)

    def minibatch(self, i: int | Tensor, support: Examples) -> Examples:
        """The support examples of step i; all by default."""
        del i
        return support

    # --- the loop ---

    def adapt(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        *,
        steps: int | Tensor | None = None,
        training: bool = False,
    ) -> Weights:
        if steps is None:
            steps = int(self.inner_steps) if training else self.steps_to_evaluate()
        elif not tf.is_tensor(steps):
            steps = int(steps)  # NumPy's integers would become tensors
        start = self.start(network, weights, support, training=training)
        state = self.run(network, start, support, steps, training=training)
        return self.finish(network, state, start, support, training=training)

    def trajectory(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        read: Callable[[Weights], Tensors],
        *,
        steps: int,
    ) -> Tensors:
        start = self.start(network, weights, support, training=False)

        def read_state(state: LoopState) -> Tensors:
            return read(self.finish(network, state, start, support, training=False))

        return record(
            self._step(network, training=False),
            self.begin(network, start, training=False),
            (start, support),
            steps,
            read_state,
        )

    def begin(self, network: Network, start: Weights, *, training: bool) -> LoopState:
        """The state before the first step."""
        memory = self.memory(network, start, training=training)
        return LoopState(self.fast(network, start), start.state, memory)

    def run(
        self,
        network: Network,
        start: Weights,
        support: Examples,
        steps: int | Tensor,
        *,
        training: bool,
        first_order: bool | None = None,
    ) -> LoopState:
        """The state after `steps` steps, with derivatives to `start` and the support set."""
        return repeat(
            self._step(network, training, first_order),
            self.begin(network, start, training=training),
            (start, support),
            steps,
            unroll=self.unroll,
            share=not training,  # training vectorizes the tasks if it can
        )

    def step(
        self,
        network: Network,
        i: int | Tensor,
        state: LoopState,
        start: Weights,
        support: Examples,
        *,
        training: bool,
        first_order: bool | None = None,
    ) -> LoopState:
        """The state after step i: computes the support loss's gradient and calls `change`.

        Constraints of the model's weights (`kernel_constraint`) hold after every step.
        """
        gradients, after = self.support_gradients(
            network, state, start, self.minibatch(i, support), training=training
        )
        if self.first_order if first_order is None else first_order:
            gradients = [tf.stop_gradient(g) for g in gradients]
        state = state._replace(state=after)
        state = self.change(network, i, state, gradients, start, training=training)
        if type(self).fast is not InnerLoop.fast:  # the adapted tensors are not model weights
            return state
        return state._replace(fast=network.constrained(self.positions(network), state.fast))

    def support_gradients(
        self,
        network: Network,
        state: LoopState,
        start: Weights,
        support: Examples,
        *,
        training: bool,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The support loss's gradients for `state.fast`, and the model's new state."""

        def loss(fast: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            weights = self.weights_at(network, state._replace(fast=fast), start)
            examples = support._replace(x=self.model_inputs(weights, support.x))
            return network.support_loss(weights, examples, training=training)

        return network.gradients(
            loss, state.fast, lambda: network.paths_at(self.positions(network))
        )

    def weights_at(self, network: Network, state: LoopState, start: Weights) -> Weights:
        """The weights of a state of the loop."""
        return self.with_fast(network, start, state.fast)._replace(state=state.state)

    def finish(
        self,
        network: Network,
        state: LoopState,
        start: Weights,
        support: Examples,
        *,
        training: bool,
    ) -> Weights:
        """The weights of a state, ready to predict: with the support set's batch statistics."""
        weights = self.weights_at(network, state, start)
        inputs = self.model_inputs(weights, support.x)
        return network.store_statistics(weights, inputs, training=training)

    def _step(
        self, network: Network, training: bool, first_order: bool | None = None
    ) -> Callable[[Any, LoopState, tuple[Weights, Examples]], LoopState]:
        """One step, in the form that `repeat` and `record` need."""

        def step(
            i: int | Tensor, state: LoopState, constants: tuple[Weights, Examples]
        ) -> LoopState:
            return self.step(
                network, i, state, *constants, training=training, first_order=first_order
            )

        return step
