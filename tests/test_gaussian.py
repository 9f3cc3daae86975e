"""The scores of Gaussian predictions, beside their definitions."""

import math
import statistics

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf import gaussian
from meta_tf.evaluation.metrics import TaskInterval, TaskMean

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
def test_an_invalid_level_is_rejected(level):
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


@pytest.fixture(scope="module")
def standardized():
    """An untrained ALPaCA in units of its tasks, two targets, and a task of five examples."""
    rng = np.random.default_rng(0)
    x, groups = rng.normal(50, 5, size=[60, 3]).astype("float32"), np.arange(60) % 6
    y = np.stack([300 + x[:, 0], 0.01 * x[:, 1]], 1)
    tasks = meta_tf.tasks.from_groups(x, y, groups, shots=5)
    body = meta_tf.models.mlp(3, None, (4,), "tanh", "glorot_uniform")
    learner = meta_tf.MetaLearner(body, meta_tf.ALPaCA(2), meta_tf.GaussianLoss())
    learner.standardize(tasks.train)
    return learner, tasks


def test_an_interval_is_in_the_unit_of_each_target(standardized):
    learner, tasks = standardized
    x, y = (rows[:9] for rows in tasks.test.examples())
    fitted = learner.adapt(x[:5], y[:5])
    mean, scale = np.split(fitted.predict(x, verbose=0), 2, -1)
    half = statistics.NormalDist().inv_cdf(0.975) * scale
    lower, upper = fitted.predict_interval(x, level=0.95)
    np.testing.assert_allclose(lower, mean - half, rtol=1e-6)
    np.testing.assert_allclose(upper, mean + half, rtol=1e-6)
    assert np.all(np.abs(mean - y).mean(0) < [20, 0.2])  # and neither 1 nor 300 of the other


def test_evaluate_reports_the_scores_of_the_last_predictions(standardized):
    learner, tasks = standardized
    whole = tasks.test.whole_groups(draws=2)
    result = meta_tf.evaluate(learner, whole, len(whole))
    expected = []
    for x, y in whole.batches():
        fitted = learner.adapt(x["support_x"][0], x["support_y"][0])
        p, y = fitted.predict(x["query_x"][0], verbose=0).astype(float), y[0].numpy()
        mean, scale = np.split(p, 2, -1)
        z = (y - mean) / scale
        likelihood = -(z**2) / 2 - np.log(scale) - math.log(2 * math.pi) / 2
        crps = gaussian.crps(tf.constant(y, tf.float64), tf.constant(p))
        inside = np.abs(z) <= statistics.NormalDist().inv_cdf(0.95)
        numbers = np.mean((y - mean) ** 2), likelihood.sum(-1).mean(), np.mean(crps)
        expected.append([*numbers, inside.mean()])
    expected = np.array(expected)
    half = 1.96 * expected.std(0, ddof=1) / np.sqrt(len(whole))
    assert result.metric == "mse"
    assert list(result.others) == ["log_likelihood", "crps", "coverage_90"]
    found = [(result.mean[-1], result.ci95[-1]), *result.others.values()]
    np.testing.assert_allclose(found, np.transpose([expected.mean(0), half]), rtol=2e-3)
    assert "90 % intervals hold, in %" in str(result)
    one = meta_tf.evaluate(learner, whole, len(whole), metric="crps")
    np.testing.assert_allclose(one.mean, result.others["crps"][0], rtol=1e-6)


def test_an_export_takes_targets_and_returns_means_and_scales(standardized, tmp_path):
    learner, tasks = standardized
    (x, _), *_ = tasks.test.whole_groups().batches()
    learner.export(tmp_path / "saved")
    run = tf.saved_model.load(tmp_path / "saved").signatures["adapt_and_predict"]
    task = {name: tensor[0] for name, tensor in x.items()}
    fitted = learner.adapt(task["support_x"], task["support_y"])
    expected = fitted.predict(task["query_x"], verbose=0)
    np.testing.assert_allclose(run(**task)["predictions"], expected, rtol=1e-4)


def test_scores_are_metrics_of_keras():
    rng = np.random.default_rng(0)
    y, mean, scale = rng.normal(size=[3, 4, 2]), rng.normal(size=[3, 4, 2]), np.full([3, 4, 2], 0.9)
    each = np.mean((mean - y) ** 2, (1, 2))
    inside = np.abs(mean - y) <= statistics.NormalDist().inv_cdf(0.95) * scale
    half = 1.96 * each.std(ddof=1) / math.sqrt(3)
    for metric, expected in (
        (TaskMean("mse"), each.mean()),
        (TaskMean("coverage_90"), inside.mean()),
        (TaskInterval("mse"), half),
    ):
        again = type(metric).from_config(metric.get_config())
        again.update_state(tf.constant(y), tf.constant(np.concatenate([mean, scale], -1)))
        np.testing.assert_allclose(again.result(), expected, rtol=1e-5)


WRONG = [
    (meta_tf.ALPaCA(), 4, "mse", "`loss` must be meta_tf.GaussianLoss.* mean_squared_error"),
    (meta_tf.MAML(0.1), 2, gaussian.GaussianLoss(), "scales that can be negative"),
    (meta_tf.InContext(), 4, gaussian.GaussianLoss(), "InContext and the model 'mlp'"),
]


@pytest.mark.parametrize(("algorithm", "outputs", "loss", "words"), WRONG)
def test_means_and_scales_come_with_a_gaussian_loss(algorithm, outputs, loss, words):
    with pytest.raises(ValueError, match=words):
        meta_tf.MetaLearner(meta_tf.models.mlp(1, outputs), algorithm, loss)


def test_targets_of_another_size_are_rejected(standardized):
    learner, _ = standardized
    with pytest.raises(ValueError, match=r"`support_y` must be \[S, 2\].* GaussianLoss.*\(5, 4\)"):
        learner.adapt(np.zeros([5, 3]), np.zeros([5, 4]))


def test_intervals_and_scores_need_means_and_scales():
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1), meta_tf.MAML(), "mse")
    x = np.zeros([5, 1])
    with pytest.raises(ValueError, match=r"`predict_interval` needs .* mean_squared_error"):
        learner.adapt(x, x).predict_interval(x)
    with pytest.raises(ValueError, match=r"`metric='crps'` needs .* mean_squared_error"):
        meta_tf.evaluate(learner, meta_tf.tasks.Sinusoid().test, 2, metric="crps")
