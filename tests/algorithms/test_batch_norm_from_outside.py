"""Algorithms from outside get the statistics of the mode, however they call the network."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network.normalization import BATCH_NORM_MODES as MODES

layers = keras.layers
CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
SUPPORT = RNG.normal(5, 3, [6, 3]).astype("float32")
QUERY = RNG.normal(4, 2, [5, 3]).astype("float32")
LABELS = np.arange(6) % 2


@dataclasses.dataclass(frozen=True)
class Outside(meta_tf.Algorithm):
    """A nearest-mean classifier, as the page on algorithms would have one written."""

    def embed(self, network, weights, x, training):
        return network(weights, x, training=training)

    def adapt(self, network, weights, support, *, steps=None, training=False):
        x = self.embed(network, weights, support.x, training)
        y = tf.one_hot(support.y, 2, dtype=x.dtype)
        means = tf.matmul(y, x, transpose_a=True) / tf.reduce_sum(y, 0)[:, None]
        return weights._replace(meta={"means": means})

    def predict(self, network, adapted, query_x):
        away = network(adapted, query_x)[:, None] - adapted.meta["means"]
        return -tf.reduce_sum(away**2, -1)


class ByOutputs(Outside):
    def embed(self, network, weights, x, training):
        return network.support_outputs(weights, x, training=training)[0]


class ByAnother(Outside):
    def adapt(self, network, weights, support, *, steps=None, training=False):
        return super().adapt(network, weights, support, training=training)


class Settling(Outside):
    def adapt(self, network, weights, support, *, steps=None, training=False):
        adapted = super().adapt(network, weights, support, training=training)
        return network.store_statistics(adapted, support.x, training=training)


class ByQueryLoss(Outside):
    def embed(self, network, weights, x, training):
        y = tf.zeros(tf.shape(x)[:1], tf.int32)
        return network.query_loss(weights, meta_tf.types.Examples(x, y), training=training)[1]


class OwnTaskLoss(Outside):
    def task_loss(self, network, weights, support, query, *, iteration=0):
        adapted = self.adapt(network, weights, support, training=True)
        return self.query_loss(network, adapted, query)


WAYS = [Outside, ByOutputs, ByAnother, Settling, ByQueryLoss, OwnTaskLoss]


def make_learner(algorithm, mode):
    keras.utils.set_random_seed(0)
    norm = layers.BatchNormalization(epsilon=0.1, name="norm")
    model = keras.Sequential([keras.Input([3]), norm, layers.Dense(4, name="head")])
    norm.moving_mean.assign([1.0, 2.0, 3.0])
    norm.moving_variance.assign([4.0, 5.0, 6.0])
    return meta_tf.MetaLearner(model, algorithm, CE, mode)


def expected_logits(learner, mode):
    stored = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    support, query = (SUPPORT.mean(0), SUPPORT.var(0)), (QUERY.mean(0), QUERY.var(0))
    of_support, of_query = {
        "transductive": (support, query),
        "support": (support, support),
        "running": (stored, stored),
    }[mode]
    kernel, bias = learner.model.get_layer("head").get_weights()

    def embedded(x, statistics):
        return (x - statistics[0]) / np.sqrt(statistics[1] + 0.1) @ kernel + bias

    means = np.stack([embedded(SUPPORT, of_support)[n == LABELS].mean(0) for n in (0, 1)])
    return -np.square(embedded(QUERY, of_query)[:, None] - means).sum(-1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_statistics_are_those_of_the_mode(way, mode):
    learner = make_learner(way(), mode)
    expected = expected_logits(learner, mode)
    fitted = learner.adapt(SUPPORT, LABELS)
    np.testing.assert_allclose(fitted(QUERY), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", [Outside, OwnTaskLoss])
def test_training_sees_the_same_statistics(way):
    learner = make_learner(way(), "support")
    query = meta_tf.types.Examples(QUERY, LABELS[:5])
    support = meta_tf.types.Examples(SUPPORT, LABELS)
    expected = expected_logits(learner, "support")
    result = learner.algorithm.meta_gradients(
        learner.network, learner.network.weights, support, query
    )
    np.testing.assert_allclose(result.predictions, expected, rtol=1e-4, atol=1e-4)


def test_a_batch_norm_used_twice_is_found_wherever_it_is():
    shared = keras.Sequential([keras.Input([3]), layers.BatchNormalization(name="norm")])

    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.part, self.head = shared, layers.Dense(2)

        def call(self, x):
            return self.head(self.part(keras.ops.relu(self.part(x))))

    x = keras.Input([3])
    nested = keras.Model(x, shared(layers.Dense(3)(shared(x))))
    outer = keras.Sequential([keras.Input([3]), nested, layers.Dense(2)])
    message = r"used once\. Received: 'norm', used 2 times"
    for model in (nested, outer):
        with pytest.raises(ValueError, match=message):
            meta_tf.MetaLearner(model, meta_tf.MAML(), CE, "support")
    model = Twice()
    model(SUPPORT)
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(), CE, "support")
    with pytest.raises(ValueError, match=message):
        learner.adapt(SUPPORT, LABELS)
    meta_tf.MetaLearner(model, meta_tf.MAML(), CE, "transductive").adapt(SUPPORT, LABELS)


def test_an_export_without_what_a_support_set_leaves_has_no_initial(tmp_path):
    learner = make_learner(Outside(), "support")
    learner.export(tmp_path / "learner")
    signatures = tf.saved_model.load(str(tmp_path / "learner")).signatures
    assert set(signatures) == {"adapt_and_predict", "adapt", "predict", "serving_default"}
    found = signatures["adapt_and_predict"](
        support_x=tf.constant(SUPPORT),
        support_y=tf.constant(LABELS, tf.int32),
        query_x=tf.constant(QUERY),
    )
    expected = expected_logits(learner, "support")
    np.testing.assert_allclose(found["predictions"], expected, rtol=1e-4, atol=1e-4)


@dataclasses.dataclass(frozen=True)
class Plain(meta_tf.algorithms.InnerLoop):
    """Gradient descent by someone who thinks of no types."""

    def change(self, network, i, state, gradients, start, *, training):
        steps = zip(state.fast, gradients, strict=True)
        return state._replace(fast=[w - self.inner_lr * g for w, g in steps])


@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16"])
def test_a_rate_at_run_time_has_the_type_of_the_weights(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = keras.Sequential([keras.Input([3]), layers.Dense(2, dtype=policy)])
    learner = meta_tf.MetaLearner(model, Plain(0.1), CE)
    learner.export(tmp_path / "learner")
    run = tf.saved_model.load(str(tmp_path / "learner")).signatures["adapt_steps_and_predict"]
    x = tf.cast(SUPPORT, run.structured_input_signature[1]["support_x"].dtype)
    y = tf.cast(LABELS, run.structured_input_signature[1]["support_y"].dtype)
    found = run(
        support_x=x,
        support_y=y,
        query_x=x,
        inner_steps=tf.constant(2),
        inner_lr=tf.constant(0.1),
    )["predictions"]
    expected = learner.adapt(SUPPORT, LABELS, steps=2)(SUPPORT)
    np.testing.assert_allclose(
        tf.cast(found, tf.float32), tf.cast(expected, tf.float32), rtol=1e-2, atol=1e-2
    )
