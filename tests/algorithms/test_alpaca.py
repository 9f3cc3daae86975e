"""ALPaCA beside the Gaussian process with the same kernel, in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.algorithms.alpaca import ALPaCA
from meta_tf.gaussian import GaussianLoss


@pytest.fixture
def double_precision():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def make_learner(targets):
    """A learner whose prior is none of the simple cases that hide errors."""
    body = meta_tf.models.mlp(2, 5, (7,), "tanh", "glorot_uniform")
    learner = meta_tf.MetaLearner(body, ALPaCA(targets), GaussianLoss())
    rng = np.random.default_rng(0)
    for variable in learner.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape))
    return learner


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("support", [1, 4, 12])  # fewer and more than features
def test_it_is_the_gaussian_process_with_the_same_kernel(targets, support, double_precision):
    # k(x, x') = f(x) P Pᵀ f(x')ᵀ, prior mean m(x) = f(x) W_0, noise 1, all in units of σ:
    #   mean = m(q) + K_qS (K_SS + I)⁻¹ (y - m(S))
    #   variance = σ² (1 + K_qq - K_qS (K_SS + I)⁻¹ K_Sq)
    learner, rng = make_learner(targets), np.random.default_rng(1)
    x, new = rng.normal(size=[support, 2]), rng.normal(size=[6, 2])
    y = rng.normal(size=[support, targets])
    found = learner.adapt(x, y).predict(new, verbose=0)

    meta = {name: value.numpy() for name, value in learner.weights_now.meta.items()}
    here, there = learner.model.predict(x, verbose=0), learner.model.predict(new, verbose=0)
    prior = meta["prior_factor"] @ meta["prior_factor"].T
    known = here @ prior @ here.T + np.eye(support)
    cross = there @ prior @ here.T
    gain = cross @ np.linalg.inv(known)
    mean = there @ meta["prior_mean"] + gain @ (y - here @ meta["prior_mean"])
    grown = 1 + np.diag(there @ prior @ there.T - gain @ cross.T)
    scale = np.sqrt(grown)[:, None] * np.exp(meta["log_noise"])
    np.testing.assert_allclose(found, np.concatenate([mean, scale], 1), rtol=1e-9)


def test_a_task_without_information_gets_the_prior(double_precision):
    learner = make_learner(1)
    factor = learner.weights_now.meta["prior_factor"].numpy()
    far = np.full([1, 2], 0.3)
    features = learner.model.predict(far, verbose=0)
    # A support example whose features are 0 says nothing: Λ = I.
    learner.model.layers[-1].set_weights([np.zeros([7, 5]), np.zeros([5])])
    mean_and_scale = learner.adapt(far, [[9.0]]).predict(far, verbose=0)
    sigma = np.exp(learner.weights_now.meta["log_noise"].numpy())
    np.testing.assert_allclose(mean_and_scale, [[0.0, sigma[0]]], rtol=1e-12)
    assert features.any() and factor.any()


@pytest.mark.slow
def test_it_learns_lines_and_says_how_sure_it_is():
    # y = a x + noise of 0.1, a of every task its own: three points fix it.
    def lines(seed):
        a, noise = tf.split(tf.random.stateless_normal([14, 1], seed), [1, 13])
        x = tf.random.stateless_uniform([13, 1], seed, -2.0, 2.0)
        y = a * x + 0.1 * noise
        return x[:3], y[:3], x[3:], y[3:]

    tasks = meta_tf.tasks.from_function(lines)
    body = meta_tf.models.mlp(1, 8, (16,), "tanh", "glorot_uniform")
    learner = meta_tf.MetaLearner(body, ALPaCA(noise=0.5), GaussianLoss())
    learner.compile(keras.optimizers.Adam(0.01))
    learner.fit(tasks.train.batches(32), steps_per_epoch=200, verbose=0, shuffle=False)
    x, y = next(iter(tasks.test.batches(200)))
    mean, scale = np.split(learner.predict_on_batch(x), 2, -1)
    z = (y - mean) / scale
    assert np.mean(np.square(y - mean)) < 0.05  # 1.3 without learning from the support set
    # The standard error of the share of 200 tasks of ten points that are not independent: 2 %.
    assert 0.84 < np.mean(np.abs(z) < 1.645) < 0.96


def test_features_of_unknown_size_are_refused():
    class Body(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    body = Body()
    body(np.zeros([1, 2]))
    with pytest.raises(ValueError, match=r"`model` must return features.*keras.Input"):
        meta_tf.MetaLearner(body, ALPaCA(), GaussianLoss())
