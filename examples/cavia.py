r"""CAVIA: an algorithm from outside the package, in one file.

    meta-tf train --algorithm=examples.cavia:CAVIA --model=examples.cavia:context_mlp \
        --inner_lr=1.0 --eval_steps=5 --iterations=4000 --workdir=runs/cavia

Adapting to a task changes only a few numbers, its *context*, which are appended to every input of
the model; the weights are the same for all tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

import meta_tf
from meta_tf.algorithms import InnerLoop, LoopState
from meta_tf.checks import check_integer
from meta_tf.network import Network
from meta_tf.types import Tensor, Weights


@keras.saving.register_keras_serializable("cavia")
@dataclasses.dataclass(frozen=True)
class CAVIA(InnerLoop):
    """Fast context adaptation: represents a task by a few parameters, found by gradient steps.

    With c the context, C numbers appended to every input,

        c_0 = 0,   c_{i+1} = c_i - α ∇_c L_S(w, c_i),   i = 0 … inner_steps - 1
        meta-gradient: dL_Q(w, c_k) / dw, through all k steps.

    The model takes inputs [..., D + C] for examples [..., D].

    Args:
      context: C, the number of context parameters of a task.

    `meta_tf.algorithms.InnerLoop` describes the arguments of every inner loop (`inner_lr`,
    `inner_steps`, `eval_steps`, `unroll`); `adapted` has no effect here.

    Reference:
      Zintgraf et al. 2019, Fast Context Adaptation via Meta-Learning.
    """

    context: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("context", self.context, at_least=1)

    def check(self, network: Network) -> None:
        declared = network.input_spec
        if declared is not None and declared.shape[-1] <= self.context:
            raise ValueError(
                f"`model` must take inputs of more than {self.context} numbers: those of an "
                f"example, followed by the context. Received: inputs of shape {declared.shape}. "
                "Make its input wider by `context`, as examples.cavia:context_mlp does."
            )

    # The start of the loop, the tensors that adapt, and one step.

    def initial(self, network: Network, weights: Weights) -> Weights:
        zeros = tf.zeros([self.context], weights.model[0].dtype)
        return weights._replace(meta={**weights.meta, "context": zeros})

    def positions(self, network: Network) -> list[int]:
        return []  # no weight of the model adapts

    def fast(self, network: Network, weights: Weights) -> list[Tensor]:
        return [weights.meta["context"]]

    def with_fast(self, network: Network, weights: Weights, fast: list[Tensor]) -> Weights:
        return weights._replace(meta={**weights.meta, "context": fast[0]})

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
        rate = tf.cast(self.inner_lr, state.fast[0].dtype)
        return state._replace(fast=[state.fast[0] - rate * gradients[0]])

    # The model's inputs are the examples and the context.

    def model_inputs(self, weights: Weights, x: Tensor) -> Tensor:
        context = tf.cast(weights.meta["context"], x.dtype)
        front = tf.shape(x)[:-1]
        return tf.concat([x, tf.broadcast_to(context, tf.concat([front, [self.context]], 0))], -1)

    def input_spec(self, network: Network) -> Any:
        declared = network.input_spec
        return None if declared is None else _resized(declared, -self.context)

    def output_spec(self, network: Network, x: Any) -> Any:
        return super().output_spec(network, _resized(x, self.context))


def _resized(spec: Any, by: int) -> keras.KerasTensor:
    return keras.KerasTensor((*spec.shape[:-1], spec.shape[-1] + by), dtype=spec.dtype)


def context_mlp(
    input_shape: Sequence[int], outputs: int, context: int = 4, hidden: int = 40
) -> keras.Model:
    """A network with two hidden layers for vectors followed by a context of `context` numbers."""
    return meta_tf.models.mlp(
        (*input_shape[:-1], input_shape[-1] + context),
        outputs,
        (hidden, hidden),
        kernel_initializer="glorot_uniform",
    )
