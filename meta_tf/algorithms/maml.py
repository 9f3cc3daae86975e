"""MAML and its variants that differ in one setting: FOMAML, ANIL, BOIL and Meta-SGD."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import keras

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import Algorithm
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.checks import check_choice, check_decay, check_switch
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class MAML(InnerLoop):
    """Model-agnostic meta-learning: initial weights from which a few gradient steps suffice.

    With L_S and L_Q the losses of a task on its support and query set,

        w_0 = w,   w_{i+1} = w_i - α ∇L_S(w_i),   i = 0 … inner_steps - 1
        meta-gradient: dL_Q(w_k) / dw, through all k steps (second order).

    Args:
      inner_lr: the step size α of the inner loop, or the initial value of learned step
        sizes. It applies to the *mean* loss over the support set.
      inner_steps: inner steps in meta-training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if
        None.
      first_order: treats ∇L_S as a constant in the meta-gradient (FOMAML):
        cheaper, and often nearly as good.
      optimizer: the inner optimiser, `"sgd"`, `"momentum"` or `"adam"`.
      momentum: β₁ of momentum and Adam.
      adapted: which weights adapt; all if None. One or several patterns over the names
        of weights or layers: `"head"`, `"conv*"`, `"!norm*"` for all but those.
      learned_lr: what the outer loop learns of α: None (nothing), `"scalar"` (one
        for all), `"tensor"` (one per weight tensor), `"tensor_step"` (one per tensor and
        step, as in MAML++; steps beyond the trained ones use the last), `"weight"`
        (one for every single weight: Meta-SGD).
      unroll: up to this many inner steps are unrolled; more run in a loop that
        takes hardly any memory per step and about a third more time.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if
        `adapted` matches no weight.

    Example:
      >>> MAML(inner_lr=0.4, inner_steps=1, eval_steps=3).first_order
      False

    Reference:
      Finn, Abbeel & Levine 2017, Model-Agnostic Meta-Learning for Fast Adaptation
      of Deep Networks. Their classification loss is a sum over the ways, so their 0.4 on
      5 ways is 2.0 here.
    """

    first_order: bool = False
    optimizer: str = "sgd"
    momentum: float = 0.9
    learned_lr: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switch("first_order", self.first_order)
        check_choice("optimizer", self.optimizer, inner_optimizers.OPTIMIZERS)
        check_decay("momentum", self.momentum)
        check_choice("learned_lr", self.learned_lr, inner_optimizers.LEARNED_RATES)

    def with_rate(self, rate: Tensor) -> Algorithm | None:
        return super().with_rate(rate) if self.learned_lr is None else None

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        weights = dict(zip(self._paths(network), self.fast(network, network.weights), strict=True))
        return inner_optimizers.initial_rates(
            self.learned_lr, self.inner_lr, self.inner_steps, weights
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
        rates = inner_optimizers.rates_at(
            self.learned_lr, self.inner_lr, start.meta, i, self._paths(network)
        )
        fast, slots = inner_optimizers.update(
            self.optimizer, i, state.fast, gradients, state.memory, rates, beta_1=self.momentum
        )
        return state._replace(fast=fast, memory=slots)

    def _paths(self, network: Network) -> list[str]:
        return network.paths_at(self.positions(network))


def _without(setting: str) -> Callable[[Callable[..., MAML]], Callable[..., MAML]]:
    """Gives a function of `**settings` the signature that it has: MAML's, but for one setting."""

    def signed(function: Callable[..., MAML]) -> Callable[..., MAML]:
        own = inspect.signature(function)
        named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        settings = inspect.signature(MAML).parameters.values()
        named += [p.replace(kind=p.KEYWORD_ONLY) for p in settings if p.name != setting]
        function.__signature__ = own.replace(parameters=named)  # type: ignore[attr-defined]
        return function

    return signed


@_without("first_order")
def FOMAML(**settings: Any) -> MAML:
    """First-order MAML: `MAML(first_order=True, **settings)`.

    Reference: Finn, Abbeel & Levine 2017, section 5.2.
    """
    return _maml("FOMAML", settings, first_order=True)


@_without("adapted")
def ANIL(head: str = "head", **settings: Any) -> MAML:
    """Almost no inner loop: only the layer `head` adapts; all tasks share the body.

    Reference: Raghu et al. 2020, Rapid Learning or Feature Reuse?
    """
    return _maml("ANIL", settings, adapted=head)


@_without("adapted")
def BOIL(head: str = "head", **settings: Any) -> MAML:
    """Body only in the inner loop: all layers but `head` adapt.

    Reference: Oh et al. 2021, BOIL: Towards Representation Change for Few-shot Learning.
    """
    return _maml("BOIL", settings, adapted=f"!{head}")


@_without("learned_lr")
def MetaSGD(**settings: Any) -> MAML:
    """Meta-SGD: every single weight has its own learned step size, of any sign.

    Reference: Li et al. 2017, Meta-SGD: Learning to Learn Quickly for Few-Shot Learning.
    """
    return _maml("MetaSGD", settings, learned_lr="weight")


def _maml(name: str, settings: dict[str, Any], **own: Any) -> MAML:
    for setting in own.keys() & settings.keys():
        raise ValueError(
            f"{name} sets `{setting}` itself, to {own[setting]!r}. Received: "
            f"{settings[setting]!r}. Leave it out, or use MAML."
        )
    return MAML(**own, **settings)
