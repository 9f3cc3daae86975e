"""Logistic regression on the support set's embeddings: the usual head of transfer learning."""

from __future__ import annotations

import dataclasses

import keras

from meta_tf.algorithms.embedding import EmbeddingClassifier
from meta_tf.checks import check_number
from meta_tf.layers import classifiers
from meta_tf.types import Tensor, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class LogisticRegression(EmbeddingClassifier):
    """Logistic regression on the unit-length embeddings of the support set.

    With f the model, which has no classifier of its own, and u(x) = f(x) / |f(x)|,

        W minimises  Σ_s cross-entropy(u(x_s) W, y_s) + λ/2 |W|²
        logits = scale · u(query) W
        meta-gradient: that of the loss of the query logits, through the minimisation.

    On a frozen network that was trained to classify other classes, it is the baseline that
    newer studies find hard to beat. There are no inner steps: the argument `steps` of `adapt`
    has no effect. A class without a support example is never predicted.

    Args:
      ways: number of classes N, the size of the logits.
      regularization: λ; 1 is scikit-learn's default, there called 1 / C.
      scale: the steepness. A large λ gives small logits, whose softmax is nearly flat; the
        predicted class does not depend on the scale. Use 10 if the network is trained through
        this algorithm; 1 gives the probabilities of the regression itself.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector for each example.

    Example:
      >>> model = meta_tf.models.conv4(ways=None, filters=8)
      >>> learner = meta_tf.MetaLearner(
      ...     model,
      ...     LogisticRegression(ways=5),
      ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      ... )
      >>> fitted = learner.adapt(tf.zeros([5, 28, 28, 1]), tf.range(5))
      >>> fitted(tf.zeros([3, 28, 28, 1])).shape
      TensorShape([3, 5])

    Reference:
      Tian et al. 2020, Rethinking Few-shot Image Classification: a Good Embedding Is All You
      Need?
    """

    regularization: float = 1.0
    scale: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("regularization", self.regularization, above=0)
        check_number("scale", self.scale, above=0)

    def fit(self, weights: Weights, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return classifiers.fit_logistic(embeddings, labels, self.ways, self.regularization)

    def logits(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        return classifiers.logistic_logits(adapted.meta, embeddings, self.scale)
