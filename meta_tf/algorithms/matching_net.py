"""Matching networks: attention over the support examples, in a learned embedding."""

from __future__ import annotations

import dataclasses

import keras

from meta_tf.algorithms.embedding import EmbeddingClassifier
from meta_tf.checks import check_number
from meta_tf.layers import classifiers
from meta_tf.types import Tensor, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class MatchingNet(EmbeddingClassifier):
    """Matching networks: a soft nearest neighbour among the support examples.

    With f the model, which has no classifier of its own, and (x_s, y_s) the support set,

        a_qs = softmax over s of scale · cos(f(query_q), f(x_s))
        logits[q, n] = log Σ_s a_qs [y_s = n]
        meta-gradient: that of the loss of the query logits.

    The logits are log probabilities. There are no inner steps: the argument `steps` of
    `adapt` has no effect. A class without a support example is never predicted.

    Args:
      ways: number of classes N, the size of the logits.
      scale: sharpens the attention. The paper uses 1, which limits the probability of the
        predicted class to 0.65 for five classes with one example each.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector for each example.

    Example:
      >>> model = meta_tf.models.conv4(ways=None, filters=8)
      >>> learner = meta_tf.MetaLearner(
      ...     model,
      ...     MatchingNet(ways=5),
      ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      ... )
      >>> fitted = learner.adapt(tf.zeros([5, 28, 28, 1]), tf.range(5))
      >>> fitted(tf.zeros([3, 28, 28, 1])).shape
      TensorShape([3, 5])

    Reference:
      Vinyals et al. 2016, Matching Networks for One Shot Learning; without their
      full-context embeddings.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("scale", self.scale, above=0)

    def fit(self, weights: Weights, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return classifiers.fit_attention(embeddings, labels, self.ways)

    def logits(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        return classifiers.attention_logits(adapted.meta, embeddings, self.scale)
