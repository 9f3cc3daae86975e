"""Gaussian predictions: their loss, how good they are, and intervals.

A model predicts a mean and a scale (a standard deviation) for each target: outputs [..., 2 D] for
targets [..., D], the D means first.
"""

from __future__ import annotations

import math
import statistics

import keras
import tensorflow as tf

from meta_tf.checks import check_number
from meta_tf.types import Tensor

_LEAST_SCALE = 1e-3


def mean_and_scale(predictions: Tensor) -> tuple[Tensor, Tensor]:
    """Splits predictions [..., 2 D] into means [..., D] and scales [..., D]."""
    mean, scale = tf.split(predictions, 2, axis=-1)
    return mean, scale


@keras.saving.register_keras_serializable("meta_tf")
class GaussianLoss(keras.losses.Loss):
    """The negative log-likelihood of targets under Gaussian predictions.

    For targets y [Q, D] and predictions [Q, 2 D] of means μ and scales σ, each example's loss is

        -log p(y) = Σ_d  (y_d - μ_d)² / (2 σ_d²) + log σ_d + log(2 π) / 2

    Args:
      reduction: as for every Keras loss; the default is the mean over examples.
      name: as for every Keras loss.

    Example:
      >>> float(GaussianLoss()([[0.0]], [[0.0, 1.0]]))     # log(2 π) / 2
      0.9189385175704956
    """

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str = "gaussian_loss", **options: object
    ):
        super().__init__(reduction=reduction, name=name, **options)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return -log_likelihood(y_true, y_pred)


@keras.saving.register_keras_serializable("meta_tf")
class MeanAndScale(keras.layers.Layer):
    """Turns the outputs of a last layer, [..., 2 D], into means and positive scales.

        (m, r) -> (m, 0.001 + softplus(r))

    Example:
      >>> body = keras.Sequential([keras.Input([3]), keras.layers.Dense(2), MeanAndScale()])
      >>> learner = meta_tf.MetaLearner(body, meta_tf.MAML(0.01), GaussianLoss())
    """

    def call(self, inputs: Tensor) -> Tensor:
        return positive_scale(inputs)


def positive_scale(outputs: Tensor) -> Tensor:
    """Numbers [..., 2 D] as means and positive scales: (m, r) -> (m, 0.001 + softplus(r))."""
    mean, raw = tf.split(outputs, 2, axis=-1)
    return tf.concat([mean, _LEAST_SCALE + tf.math.softplus(raw)], -1)


def log_likelihood(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The log-density of targets [..., D] under predictions [..., 2 D], summed over D: [...]."""
    mean, scale = mean_and_scale(y_pred)
    z = (tf.cast(y_true, mean.dtype) - mean) / scale
    values = -0.5 * tf.square(z) - tf.math.log(scale) - 0.5 * math.log(2 * math.pi)
    return tf.reduce_sum(values, -1)


def crps(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The continuous ranked probability score, in the target's unit; lower is better.

    With z = (y - μ) / σ, φ and Φ the density and distribution function of a standard Gaussian,

        CRPS = σ (z (2 Φ(z) - 1) + 2 φ(z) - 1 / √π),   averaged over D

    It is the mean absolute error of a prediction without spread.

    Args:
      y_true: targets, [..., D].
      y_pred: means and scales, [..., 2 D].

    Returns:
      The score of each example, [...].

    Reference: Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation",
    JASA 2007.
    """
    mean, scale = mean_and_scale(y_pred)
    z = (tf.cast(y_true, mean.dtype) - mean) / scale
    density = tf.exp(-0.5 * tf.square(z)) / math.sqrt(2 * math.pi)
    twice_cdf = 1.0 + tf.math.erf(z / math.sqrt(2))
    score = scale * (z * (twice_cdf - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))
    return tf.reduce_mean(score, -1)


def coverage(y_true: Tensor, y_pred: Tensor, level: float = 0.9) -> Tensor:
    """The share of the targets of each example that lie in their central interval, [...]."""
    lower, upper = interval(y_pred, level)
    y = tf.cast(y_true, lower.dtype)
    inside = tf.logical_and(lower <= y, y <= upper)
    return tf.reduce_mean(tf.cast(inside, lower.dtype), -1)


def interval(predictions: Tensor, level: float = 0.9) -> tuple[Tensor, Tensor]:
    """The ends of the central interval that holds a share `level` of the distribution.

    Args:
      predictions: means and scales, [..., 2 D].
      level: the share, between 0 and 1.

    Returns:
      Lower and upper ends, [..., D] each: μ ∓ z σ with Φ(z) = (1 + level) / 2.

    Raises:
      ValueError: if `level` is not between 0 and 1.

    Example:
      >>> lower, upper = interval(tf.constant([[1.0, 2.0]]), level=0.95)
      >>> round(float(lower[0, 0]), 4)                     # 1 - 1.96 · 2
      -2.9199
    """
    check_number("level", level, above=0, below=1)
    mean, scale = mean_and_scale(predictions)
    half = statistics.NormalDist().inv_cdf((1 + level) / 2) * scale
    return mean - half, mean + half
