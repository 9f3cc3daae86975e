"""R2D2: ridge regression in closed form, in a learned embedding."""

from __future__ import annotations

import dataclasses
import math

import keras
import tensorflow as tf

from meta_tf.algorithms.embedding import EmbeddingClassifier
from meta_tf.checks import check_number
from meta_tf.layers import classifiers
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class R2D2(EmbeddingClassifier):
    """Ridge regression differentiable discriminator: a linear classifier in closed form.

    With X [S, D] the support embeddings by the model, which has no classifier of its
    own, and Y [S, N] their classes, one-hot,

        W = Xᵀ (X Xᵀ + λ I)⁻¹ Y = (Xᵀ X + λ I)⁻¹ Xᵀ Y
        logits = α f(query) W + β
        meta-gradient: that of the loss of the query logits, through the solution.

    The smaller of the two systems is solved. log λ, α and β are learned in the outer
    loop. There are no inner steps: the argument `steps` of `adapt` has no effect. A
    class without a support example is never predicted. This is the paper's formula; the
    authors' program also appends a constant feature to X, a bias for each class, and divides
    X and Y by √S, so that λ means the same for support sets of all sizes.

    Args:
      ways: number of classes N, the size of the logits.
      regularization: the initial value of λ.
      scale: the initial value of α. The regression predicts numbers of about 0 to 1, whose
        softmax would be nearly flat. β starts at 0; softmax is invariant to it.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector for each example.

    Example:
      >>> model = meta_tf.models.conv4(ways=None, filters=8)
      >>> learner = meta_tf.MetaLearner(
      ...     model, R2D2(ways=5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
      ... )
      >>> fitted = learner.adapt(tf.zeros([5, 28, 28, 1]), tf.range(5))
      >>> fitted(tf.zeros([3, 28, 28, 1])).shape
      TensorShape([3, 5])

    Reference:
      Bertinetto et al. 2019, Meta-learning with Differentiable Closed-form Solvers.
    """

    regularization: float = 1.0
    scale: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("regularization", self.regularization, above=0)
        check_number("scale", self.scale, above=0)

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        start = {"log_lambda": math.log(self.regularization), "scale": self.scale, "bias": 0.0}
        return {n: tf.constant(v, keras.config.floatx()) for n, v in start.items()}

    def fit(self, weights: Weights, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return classifiers.fit_ridge(embeddings, labels, self.ways, weights.meta["log_lambda"])

    def logits(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        meta = adapted.meta
        return classifiers.ridge_logits(meta, embeddings, meta["scale"], meta["bias"])
