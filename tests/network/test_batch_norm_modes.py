"""What the three modes of batch norm promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network.network import Network
from meta_tf.network.normalization import BATCH_NORM_MODES as MODES
from tests.marks import exhaustive, few, slow

layers = keras.layers
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _model(frozen=False):
    return keras.Sequential(
        [
            keras.Input([3]),
            layers.BatchNormalization(momentum=0.9, epsilon=0.1, name="norm", trainable=not frozen),
            layers.Dense(2, name="head"),
        ]
    )


def _learner(mode, steps=0, frozen=False):
    learner = meta_tf.MetaLearner(
        _model(frozen), meta_tf.MAML(0.1, inner_steps=steps), "mse", batch_norm=mode
    )
    norm = learner.model.get_layer("norm")
    norm.moving_mean.assign([1.0, 2.0, 3.0])
    norm.moving_variance.assign([4.0, 5.0, 6.0])
    learner.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    return learner


def _sets():
    rng = np.random.default_rng(0)
    return [rng.normal(size=[6, n]).astype("float32") for n in (3, 2, 3, 2)]


def _batch():
    sx, sy, qx, qy = (a[None] for a in _sets())
    return {"support_x": sx, "support_y": sy, "query_x": qx}, qy


def _expected(learner, x, mean, variance):
    kernel, bias = learner.model.get_layer("head").get_weights()
    return (x - mean) / np.sqrt(variance + 0.1) @ kernel + bias


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_query_set_is_normalised_as_declared(mode, frozen):
    # Without steps, by NumPy. A frozen layer keeps to its stored statistics in every mode.
    learner, (sx, sy, qx, _) = _learner(mode, frozen=frozen), _sets()
    stored = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    statistics = {
        "transductive": (qx.mean(0), qx.var(0)),
        "support": (sx.mean(0), sx.var(0)),
        "running": stored,
    }[mode]
    expected = _expected(learner, qx, *(stored if frozen else statistics))
    np.testing.assert_allclose(learner.adapt(sx, sy)(qx), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "alone"), [("support", True), ("running", True), ("transductive", False)]
)
def test_whether_a_prediction_depends_on_its_batch(mode, alone):
    learner, (sx, sy, qx, _) = _learner(mode, steps=2), _sets()
    fitted = learner.adapt(sx, sy)
    together, one = fitted(qx)[:1].numpy(), fitted(qx[:1]).numpy()
    assert np.allclose(one, together, rtol=1e-4, atol=1e-5) == alone


@pytest.mark.parametrize(
    "algorithm",
    [
        slow(meta_tf.MAMLPlusPlus(0.1, 2)),
        slow(meta_tf.IMAML(0.1, 2)),
        slow(meta_tf.R2D2(3)),
        exhaustive(meta_tf.MAML(0.1, 2)),
        exhaustive(meta_tf.MetaCurvature(0.1, 2)),
        exhaustive(meta_tf.Reptile(0.01, 2)),
        exhaustive(meta_tf.ProtoMAML(0.1, 2)),
        exhaustive(meta_tf.MatchingNet(3)),
        exhaustive(meta_tf.ProtoNet(3)),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_in_mode_support_each_query_is_independent_with_every_algorithm(algorithm):
    rng, labels = np.random.default_rng(0), np.arange(6) % 3
    support, query = rng.random([2, 6, 8, 8, 1], dtype="float32")
    model = meta_tf.models.conv4(
        None if hasattr(algorithm, "ways") else 3, filters=4, input_shape=(8, 8, 1), head="flatten"
    )
    learner = meta_tf.MetaLearner(model, algorithm, CROSS_ENTROPY, batch_norm="support")
    together = learner.adapt(support, labels)(query)
    task = {"support_x": support[None], "support_y": labels[None], "query_x": query[None, :1]}
    for alone in (learner.adapt(support, labels)(query[:1]), learner(task)[0]):
        np.testing.assert_allclose(alone, together[:1], rtol=1e-4, atol=1e-5)


def test_in_mode_support_a_layer_is_used_once():
    x, norm = keras.Input([3]), layers.BatchNormalization(name="norm")
    twice = keras.Model(x, layers.Dense(2)(norm(layers.Dense(3)(norm(x)))))
    with pytest.raises(ValueError, match=r"used once\. Received: 'norm', used 2 times"):
        Network(twice, "mse", "support")
    for mode in ("transductive", "running"):
        Network(twice, "mse", mode)
    Network(keras.Model(x, layers.Dense(2)(norm(x))), "mse", "support")  # once in this model


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.slow
def test_only_training_moves_the_moving_statistics(mode):
    learner, (x, y) = _learner(mode, steps=2), _batch()
    norm = learner.model.get_layer("norm")

    def statistics():
        return np.stack([norm.moving_mean.numpy(), norm.moving_variance.numpy()])

    before = statistics()
    learner.evaluate(x, y, verbose=0)
    learner.predict(x, verbose=0)
    learner.adapt(x["support_x"][0], x["support_y"][0])
    np.testing.assert_array_equal(statistics(), before)
    learner.fit(x, y, verbose=0)
    assert not np.array_equal(statistics(), before)


def test_training_moves_them_by_the_mean_over_the_tasks():
    # Two tasks, no inner step, one pass over each query set: m · old + (1 - m) · batch.
    learner, rng = _learner("running"), np.random.default_rng(0)
    sx, qx = rng.normal(size=[2, 2, 6, 3]).astype("float32")
    zeros = np.zeros([2, 6, 2], "float32")
    learner.fit({"support_x": sx, "support_y": zeros, "query_x": qx}, zeros, verbose=0)
    norm = learner.model.get_layer("norm")
    expected = 0.9 * np.array([1.0, 2.0, 3.0]) + 0.1 * qx.mean(1).mean(0)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5)
    expected = 0.9 * np.array([4.0, 5.0, 6.0]) + 0.1 * qx.var(1).mean(0)
    np.testing.assert_allclose(norm.moving_variance, expected, rtol=1e-5)


@pytest.mark.parametrize("mode", few(MODES, "running"))
def test_a_frozen_layer_keeps_its_statistics_bit_by_bit(mode):
    learner = _learner(mode, steps=1, frozen=True)
    learner.fit(*_batch(), verbose=0)
    norm = learner.model.get_layer("norm")
    np.testing.assert_array_equal(norm.moving_mean, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(norm.moving_variance, [4.0, 5.0, 6.0])


def test_the_mode_is_saved(tmp_path):
    learner, (sx, sy, qx, _) = _learner("support", steps=1), _sets()
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.network.batch_norm == "support"
    np.testing.assert_array_equal(loaded.adapt(sx, sy)(qx), learner.adapt(sx, sy)(qx))


def test_in_a_subclass_and_a_nested_model_it_is_the_same():
    class Own(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs, training=training, mask=mask)

    inside = keras.Sequential([keras.Input([3]), Own(epsilon=0.1)])
    model = keras.Sequential([keras.Input([3]), inside, layers.Flatten(), layers.Dense(2)])
    network, (sx, _, qx, _) = Network(model, "mse", "support"), _sets()
    settled = network.store_statistics(network.weights, tf.constant(sx), training=False)
    kernel, bias = model.layers[-1].get_weights()
    expected = (qx - sx.mean(0)) / np.sqrt(sx.var(0) + 0.1) @ kernel + bias
    np.testing.assert_allclose(network(settled, qx), expected, rtol=1e-4, atol=1e-5)


def test_the_mode_support_needs_layers_that_store_statistics():
    model = keras.Sequential(
        [keras.Input([3]), layers.BatchNormalization(momentum=1.0, name="norm"), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match=r"`momentum` below 1.*Received: 'norm' with 1"):
        Network(model, "mse", "support")
    Network(model, "mse", "transductive")


@pytest.mark.parametrize("shape", [[3], [4, 4, 3]])  # by Keras, and by fused kernels
def test_moving_averages_change_only_in_training(shape):
    model = keras.Sequential([keras.Input(shape), keras.layers.BatchNormalization(momentum=0.9)])
    network, x = Network(model, "mse"), 2 + tf.random.normal([5, *shape])
    weights = network.weights
    _, kept = network.support_outputs(weights, x, training=False)
    for before, after in zip(weights.state, kept, strict=True):
        np.testing.assert_array_equal(after, before)
    _, (mean, variance) = network.support_outputs(weights, x, training=True)
    flat = x.numpy().reshape(-1, 3)
    np.testing.assert_allclose(mean, 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * flat.var(0), rtol=1e-5)
