"""The scores of Gaussian predictions, beside their definitions."""

import math
import statistics

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf import gaussian

MEAN, SCALE, Y = np.array([0.5, -1.0]), np.array([0.3, 2.0]), np.array([0.9, -4.0])
PREDICTIONS = np.concatenate([MEAN, SCALE])[None]


def test_the_loss_is_minus_the_log_of_the_density():
    density = [statistics.NormalDist(m, s).pdf(y) for m, s, y in zip(MEAN, SCALE, Y, strict=True)]
    found = gaussian.GaussianLoss()(Y[None], PREDICTIONS)
    np.testing.assert_allclose(found, -math.log(density[0] * density[1]), rtol=1e-6)


def test_the_crps_is_the_integral_of_its_definition():
    # ∫ (F(t) - [t >= y])² dt, by the midpoint rule on a fine grid.
    t = np.linspace(-60, 60, 1_200_001)
    middle, step = (t[1:] + t[:-1]) / 2, t[1] - t[0]
    expected = []
    for m, s, y in zip(MEAN, SCALE, Y, strict=True):
        cdf = 0.5 * (1 + tf.math.erf((middle - m) / (s * math.sqrt(2))).numpy())
        expected.append(((cdf - (middle >= y)) ** 2).sum() * step)
    found = gaussian.crps(tf.constant(Y[None]), tf.constant(PREDICTIONS))
    np.testing.assert_allclose(found, [np.mean(expected)], rtol=1e-4)


def test_a_point_without_spread_has_the_absolute_error_as_crps():
    sharp = np.concatenate([MEAN, [1e-9, 1e-9]])[None]
    found = gaussian.crps(tf.constant(Y[None]), tf.constant(sharp))
    np.testing.assert_allclose(found, [np.abs(Y - MEAN).mean()], rtol=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_an_interval_covers_its_share_of_draws(level):
    draws = np.random.default_rng(0).normal(MEAN, SCALE, size=[20_000, 2])
    predictions = np.repeat(PREDICTIONS, 20_000, 0)
    found = np.mean(gaussian.coverage(tf.constant(draws), tf.constant(predictions), level))
    assert abs(found - level) < 4 * math.sqrt(level * (1 - level) / 40_000)


@pytest.mark.parametrize("level", [0, 1, 1.5, "0.9"])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="`level`"):
        gaussian.interval(PREDICTIONS, level)


def test_any_body_can_predict_a_mean_and_a_scale(tmp_path):
    body = keras.Sequential(
        [keras.Input([1]), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    )
    body.add(gaussian.MeanAndScale())
    learner = meta_tf.MetaLearner(body, meta_tf.MAML(0.01), gaussian.GaussianLoss())
    x = np.random.default_rng(0).normal(size=[5, 1])
    before = learner.adapt(x, 2 * x, steps=3).predict(x, verbose=0)
    assert (before[:, 1] > 0).all()
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded.adapt(x, 2 * x, steps=3).predict(x, verbose=0), before)
