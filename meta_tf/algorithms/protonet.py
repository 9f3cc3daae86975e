"""Prototypical networks: the nearest class mean, in a learned embedding."""

from __future__ import annotations

import dataclasses

import keras

from meta_tf.algorithms.embedding import EmbeddingClassifier
from meta_tf.checks import check_choice, check_number
from meta_tf.layers import classifiers
from meta_tf.types import Tensor, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class ProtoNet(EmbeddingClassifier):
    """Prototypical networks: classification by the nearest class mean in an embedding.

    With f the model, which has no classifier of its own, S_n the support examples of
    class n and d a distance,

        c_n = mean of f(x) over x in S_n
        logits[q, n] = -scale · d(f(query_q), c_n)
        meta-gradient: that of the loss of the query logits.

    There are no inner steps: the argument `steps` of `adapt` has no effect. A class
    without a support example is never predicted.

    Args:
      ways: number of classes N, the size of the logits.
      distance: `"euclidean"` (squared, the paper's choice) or `"cosine"` (1 minus the
        cosine).
      scale: the steepness; the paper uses 1. For cosines, 10 or more is usual.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector for each example.

    Example:
      >>> model = meta_tf.models.conv4(ways=None, filters=8)
      >>> learner = meta_tf.MetaLearner(
      ...     model, ProtoNet(ways=5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
      ... )
      >>> fitted = learner.adapt(tf.zeros([5, 28, 28, 1]), tf.range(5))
      >>> fitted(tf.zeros([3, 28, 28, 1])).shape
      TensorShape([3, 5])

    Reference:
      Snell, Swersky & Zemel 2017, Prototypical Networks for Few-shot Learning.
    """

    distance: str = "euclidean"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("distance", self.distance, classifiers.DISTANCES)
        check_number("scale", self.scale, above=0)

    def fit(self, weights: Weights, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return classifiers.fit_prototypes(embeddings, labels, self.ways)

    def logits(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        return classifiers.prototype_logits(adapted.meta, embeddings, self.distance, self.scale)
