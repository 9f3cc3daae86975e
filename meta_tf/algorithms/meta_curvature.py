"""Meta-Curvature: MAML with inner gradients transformed by learned matrices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.checks import check_switch
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class MetaCurvature(InnerLoop):
    """Meta-Curvature: learned matrices transform each gradient before an inner step.

    A gradient G of shape [..., I, O] has three matrices, initially identities: M_o [O, O] over
    its outputs, M_i [I, I] over its inputs and M_f [F, F] over the F positions of the leading
    axes (the 3 · 3 of an image filter):

        MC(G)_gjp = Σ_fio G_fio M_f[f, g] M_i[i, j] M_o[o, p]
        w_0 = w,   w_{i+1} = w_i - α MC(∇L_S(w_i)),   i = 0 … inner_steps - 1
        meta-gradient: dL_Q(w_k) / d(w, M), through all k steps.

    A bias has only M_o, a matrix M_o and M_i. Meta-SGD is one diagonal matrix over all numbers
    of a tensor; these matrices can also mix the numbers, and are much smaller than a full
    matrix over all of them. Exclude large embeddings with `adapted="!embedding*"`: their M_i
    would be vocabulary by vocabulary.

    Args:
      inner_lr: the step size α of the inner loop, for the mean loss over the support set.
      inner_steps: inner steps in meta-training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      first_order: treats ∇L_S as a constant in the meta-gradient; the matrices are still
        learned.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are unrolled; more run in a loop that takes
        hardly any memory per step and about a third more time.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if
        `adapted` matches no weight.

    Example:
      >>> learner = meta_tf.MetaLearner(meta_tf.models.mlp(), MetaCurvature(), loss="mse")
      >>> matrices = learner.algorithm.meta_weights(learner.network)
      >>> [f"{name}: {m.shape}" for name, m in matrices.items() if "head/kernel" in name]
      ['curvature_outputs/head/kernel: (1, 1)', 'curvature_inputs/head/kernel: (40, 40)']

    Reference:
      Park & Oliva 2019, Meta-Curvature.
    """

    first_order: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switch("first_order", self.first_order)

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        return {
            f"curvature_{axis}/{network.paths[p]}": tf.eye(size, dtype=keras.config.floatx())
            for p in self.positions(network)
            for axis, size in _sizes(network.weights.model[p].shape).items()
        }

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
        places = self.positions(network)
        # A gradient's static shape can be unknown if the number of examples is.
        shapes = [start.model[p].shape for p in places]
        bent = [
            _bent(g, shape, start.meta, path)
            for g, shape, path in zip(gradients, shapes, network.paths_at(places), strict=True)
        ]
        return state._replace(
            fast=inner_optimizers.descend(state.fast, bent, [self.inner_lr] * len(bent))
        )


def _sizes(shape: tf.TensorShape) -> dict[str, int]:
    """The sizes F, I and O of a weight tensor, for the axes that it has."""
    sizes = {"outputs": shape[-1] if len(shape) else 1}
    if len(shape) > 1:
        sizes["inputs"] = shape[-2]
    if len(shape) > 2:
        sizes["positions"] = math.prod(shape[:-2])
    return sizes


def _bent(gradient: Tensor, shape: tf.TensorShape, meta: Mapping[str, Tensor], path: str) -> Tensor:
    """MC(G)."""
    sizes = _sizes(shape)
    g = tf.reshape(gradient, [sizes.get("positions", 1), sizes.get("inputs", 1), -1])
    products = {"outputs": "fio,op->fip", "inputs": "fio,ij->fjo", "positions": "fio,fg->gio"}
    for axis in sizes:
        matrix = tf.cast(meta[f"curvature_{axis}/{path}"], g.dtype)
        g = tf.einsum(products[axis], g, matrix)
    return tf.reshape(g, shape)
