"""Training-free classifiers as Keras layers: from a support set to logits of a query set.

Each layer is a function of the embeddings of one task; gradients flow through it to the
network that computed the embeddings. Any Keras model can use them. Half-precision inputs are
computed and returned in float32.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from meta_tf.checks import check_choice, check_integer, check_number
from meta_tf.layers import classifiers
from meta_tf.types import Tensor


@keras.saving.register_keras_serializable("meta_tf")
class Prototypes(keras.layers.Layer):
    """Classifies by the distance to the mean of each class.

    With c_n the mean of the support embeddings of class n and d a distance,

        logits[q, n] = -scale · d(query_q, c_n)

    A class without a support example is never predicted.

    Args:
      ways: number of classes N.
      distance: `"euclidean"` (squared, the paper's choice: it makes this a linear
        classifier) or `"cosine"` (1 minus the cosine).
      scale: the steepness. 1 suits squared distances; cosines are so close together
        that 10 or more is usual.
      **kwargs: `name` and `dtype`, as for every Keras layer.

    Raises:
      ValueError: if a setting is out of range; in a call, if labels are not 0 to N - 1.

    Example:
      >>> classify = Prototypes(ways=2)
      >>> support, labels = tf.constant([[0.0], [2.0], [5.0]]), tf.constant([0, 0, 1])
      >>> classify(support, labels, tf.constant([[4.0]])).numpy()
      array([[-9., -1.]], dtype=float32)

    Reference:
      Snell, Swersky & Zemel 2017, Prototypical Networks for Few-shot Learning.
    """

    def __init__(self, ways: int, distance: str = "euclidean", scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        check_integer("ways", ways, 2, "the number of classes to tell apart")
        check_choice("distance", distance, classifiers.DISTANCES)
        check_number("scale", scale, above=0)
        self.ways, self.distance, self.scale = ways, distance, scale

    def call(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Logits [Q, N] for query [Q, D], given support [S, D] and labels [S]."""
        fitted = classifiers.fit_prototypes(support, labels, self.ways)
        return classifiers.prototype_logits(fitted, query, self.distance, self.scale)

    def get_config(self) -> dict[str, Any]:
        own = {"ways": self.ways, "distance": self.distance, "scale": self.scale}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("meta_tf")
class AttentionMatching(keras.layers.Layer):
    """Classifies by attention over the support examples: a soft nearest neighbour.

        a_qs = softmax over s of scale · cos(query_q, support_s)
        logits[q, n] = log Σ_s a_qs [label_s = n]

    The logits are log probabilities already: log_softmax does not change them.

    Args:
      ways: number of classes N.
      scale: sharpens the attention; with the paper's 1 it is broad.
      **kwargs: `name` and `dtype`, as for every Keras layer.

    Raises:
      ValueError: if a setting is out of range; in a call, if labels are not 0 to N - 1.

    Example:
      >>> classify = AttentionMatching(ways=2)
      >>> support, labels = tf.constant([[1.0, 0.0], [0.0, 1.0]]), tf.constant([0, 1])
      >>> p = tf.exp(classify(support, labels, tf.constant([[1.0, 1.0]])))
      >>> np.round(p, 3)
      array([[0.5, 0.5]], dtype=float32)

    Reference:
      Vinyals et al. 2016, Matching Networks for One Shot Learning, equations 1 and 2;
      without their full-context embeddings.
    """

    def __init__(self, ways: int, scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        check_integer("ways", ways, 2, "the number of classes to tell apart")
        check_number("scale", scale, above=0)
        self.ways, self.scale = ways, scale

    def call(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Log probabilities [Q, N] for query [Q, D], given support [S, D] and labels [S]."""
        fitted = classifiers.fit_attention(support, labels, self.ways)
        return classifiers.attention_logits(fitted, query, self.scale)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ways": self.ways, "scale": self.scale}


@keras.saving.register_keras_serializable("meta_tf")
class RidgeRegressionHead(keras.layers.Layer):
    """Classifies by ridge regression from the support embeddings to their one-hot labels.

    With X [S, D] the support embeddings and Y [S, N] their classes, one-hot,

        W = Xᵀ (X Xᵀ + λ I)⁻¹ Y = (Xᵀ X + λ I)⁻¹ Xᵀ Y
        logits = α query W + β

    The smaller of the two systems is solved. log λ, α and β are weights of the layer. A class
    without a support example is never predicted.

    Args:
      ways: number of classes N.
      regularization: the initial value of λ.
      scale: the initial value of α. The regression predicts numbers of about 0 to 1, whose
        softmax would be nearly flat. β starts at 0; softmax is invariant to it.
      **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
      ValueError: if a setting is out of range; in a call, if labels are not 0 to N - 1.

    Example:
      >>> classify = RidgeRegressionHead(ways=2, regularization=1.0, scale=1.0)
      >>> support, labels = tf.constant([[1.0, 0.0], [0.0, 1.0]]), tf.constant([0, 1])
      >>> logits = classify(support, labels, tf.constant([[2.0, 0.0]]))
      >>> np.round(logits, 3)
      array([[1., 0.]], dtype=float32)

    Reference:
      Bertinetto et al. 2019, Meta-learning with Differentiable Closed-form Solvers.
    """

    def __init__(self, ways: int, regularization: float = 1.0, scale: float = 10.0, **kwargs: Any):
        super().__init__(**kwargs)
        check_integer("ways", ways, 2, "the number of classes to tell apart")
        check_number("regularization", regularization, above=0)
        check_number("scale", scale, above=0)
        self.ways, self.regularization, self.start_scale = ways, regularization, scale

    def build(self, support_shape: Any, labels_shape: Any, query_shape: Any) -> None:
        """Creates log λ, α and β."""

        def weight(name: str, start: float) -> keras.Variable:
            # Not keras.initializers.Constant, which rounds to float32.
            return self.add_weight(
                (), lambda shape, dtype: tf.constant(start, dtype), name=name, autocast=False
            )

        self.log_lambda = weight("log_lambda", math.log(self.regularization))
        self.scale = weight("scale", self.start_scale)
        self.bias = weight("bias", 0.0)

    def call(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Logits [Q, N] for query [Q, D], given support [S, D] and labels [S]."""
        log_lambda, scale, bias = (
            tf.convert_to_tensor(v) for v in (self.log_lambda, self.scale, self.bias)
        )
        fitted = classifiers.fit_ridge(support, labels, self.ways, log_lambda)
        return classifiers.ridge_logits(fitted, query, scale, bias)

    def get_config(self) -> dict[str, Any]:
        own = {
            "ways": self.ways,
            "regularization": self.regularization,
            "scale": self.start_scale,
        }
        return {**super().get_config(), **own}
