"""ALPaCA: Bayesian linear regression on learned features."""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf

from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.checks import check_integer, check_number
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class ALPaCA(EmbeddingLearner):
    """Bayesian linear regression with an uncertainty for each prediction, in closed form.

    With φ(x) [D] the model's features and targets y [Y], it assumes that

        y = φ(x) W + ε,   ε ~ N(0, diag(σ²)),   W ~ N(W_0, P Pᵀ ⊗ diag(σ²))

    and learns φ, W_0, the factor P and the noise σ over many tasks. A task's support set
    X, y gives the posterior: with the whitened features Z = φ(X) P and z = φ(x) P,

        Λ = I + Zᵀ Z,   mean = φ(x) W_0 + z Λ⁻¹ Zᵀ (y - φ(X) W_0),   scale² = σ² (1 + z Λ⁻¹ zᵀ)

    Predictions are means and scales, [Q, 2 Y], for `meta_tf.GaussianLoss`. It is the Gaussian
    process with the linear kernel φ(x) P Pᵀ φ(x')ᵀ, at a cost that grows with D and not with the
    support set. There are no inner steps: the argument `steps` of `adapt` has no effect.

    Args:
      targets: Y, the number of targets of an example.
      noise: the initial value of each σ, in the targets' unit.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector of a known size for each example.

    Example:
      >>> features = meta_tf.models.mlp(1, outputs=32, hidden=(64, 64))
      >>> learner = meta_tf.MetaLearner(features, ALPaCA(), meta_tf.GaussianLoss())
      >>> fitted = learner.adapt(tf.zeros([5, 1]), tf.zeros([5, 1]))
      >>> fitted(tf.zeros([3, 1])).shape
      TensorShape([3, 2])

    Reference:
      Harrison, Sharma and Pavone 2018, Meta-Learning Priors for Efficient Online Bayesian
      Regression. There P is the inverse of a factor of the prior's precision.
    """

    targets: int = 1
    noise: float = 0.2

    def __post_init__(self) -> None:
        check_integer("targets", self.targets, at_least=1)
        check_number("noise", self.noise, above=0)

    def check(self, network: Network) -> None:
        super().check(network)
        if not isinstance(_size(network), int):
            raise ValueError(
                "`model` must return features of a size that is known before it runs, "
                f"[B, D]. Received: {network.model.name!r} with outputs of shape "
                f"{getattr(network.model, 'output_shape', None)}. Build it with keras.Input."
            )

    def predicts_gaussians(self) -> bool:
        return True

    def output_spec(self, network: Network, x: Tensors) -> Tensors:
        rows = keras.tree.flatten(x)[0].shape[0]
        return keras.KerasTensor((rows, 2 * self.targets), dtype=keras.config.floatx())

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        size, floating = _size(network), keras.config.floatx()
        return {
            "prior_mean": tf.zeros([size, self.targets], floating),
            # Features of about 1 then have a prior variance of about σ² between them.
            "prior_factor": tf.eye(size, dtype=floating) / math.sqrt(size or 1),
            "log_noise": tf.fill([self.targets], tf.cast(math.log(self.noise), floating)),
        }

    def fit(self, weights: Weights, embeddings: Tensor, y: Tensor) -> dict[str, Tensor]:
        meta = weights.meta
        features = tf.cast(embeddings, meta["prior_factor"].dtype)
        targets = tf.reshape(tf.cast(y, features.dtype), [-1, self.targets])
        z = features @ meta["prior_factor"]
        precision = tf.eye(z.shape[-1], dtype=z.dtype) + tf.matmul(z, z, transpose_a=True)
        factor = tf.linalg.cholesky(precision)
        error = tf.matmul(z, targets - features @ meta["prior_mean"], transpose_a=True)
        return {"mean": tf.linalg.cholesky_solve(factor, error), "factor": factor}

    def read(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        meta = adapted.meta
        features = tf.cast(embeddings, meta["prior_factor"].dtype)
        z = features @ meta["prior_factor"]
        mean = features @ meta["prior_mean"] + z @ meta["mean"]
        spread = tf.linalg.triangular_solve(meta["factor"], tf.transpose(z))  # [D, Q]
        grown = tf.sqrt(1.0 + tf.reduce_sum(tf.square(spread), 0))  # [Q]
        return tf.concat([mean, grown[:, None] * tf.exp(meta["log_noise"])], -1)


def _size(network: Network) -> int | None:
    """D, the size of the model's features."""
    shape = getattr(network.model, "output_shape", None)
    return shape[-1] if isinstance(shape, tuple) else None
