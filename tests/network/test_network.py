"""`Network`: a Keras model as a pure function, and normalisation put back as it was."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network import normalization
from meta_tf.network.network import Network
from meta_tf.network.normalization import exact_moments, exact_normalization
from meta_tf.types import Examples

layers = keras.layers


def _dense(loss="mse", **options):
    model = keras.Sequential(
        [keras.Input([3]), layers.Dense(4, "tanh", name="one"), layers.Dense(2, name="two")],
        name="net",
    )
    return Network(model, loss, **options)


def test_calling_uses_the_given_weights_and_changes_none():
    network, x = _dense(), tf.random.normal([5, 3])
    before = network.model.get_weights()
    doubled = network.weights._replace(model=[2 * w for w in network.weights.model])
    a, b, c, d = (2 * w for w in before)
    np.testing.assert_allclose(network(doubled, x), np.tanh(x @ a + b) @ c + d, rtol=1e-5)
    for one, other in zip(network.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_without_influence_has_a_zero_gradient():
    class Lazy(layers.Dense):
        def call(self, x):
            return tf.stop_gradient(super().call(x))

    model = keras.Sequential([keras.Input([3]), Lazy(4), layers.Dense(2)])
    network = Network(model, "mse")
    support = Examples(tf.ones([5, 3]), tf.ones([5, 2]))
    gradients, _ = network.support_gradients(network.weights, support, range(4), training=True)
    assert not np.any(gradients[0]) and np.any(gradients[3])
    with pytest.raises(ValueError, match=r"no gradient.*lazy/kernel, lazy/bias\. "):
        network.support_gradients(network.weights, support, [0, 1], training=True)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", np.mean),
        (keras.losses.MeanSquaredError(), np.mean),
        (keras.losses.MeanSquaredError(reduction="none"), np.mean),
        # Summed over the examples; Keras's mean over the outputs comes before.
        (keras.losses.MeanSquaredError(reduction="sum"), lambda d: np.sum(np.mean(d, -1))),
        (lambda y, p: (y - p) ** 2, np.mean),
    ],
)
def test_a_loss_is_averaged_over_the_examples(loss, expected):
    y, p = np.random.default_rng(0).normal(size=[2, 5, 2]).astype("float32")
    value = _dense(loss).mean_loss(tf.constant(y), tf.constant(p))
    np.testing.assert_allclose(value, expected((y - p) ** 2), rtol=1e-6)


def test_a_loss_of_ones_own_gets_targets_of_the_type_of_the_predictions():
    class Distance(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return tf.square(y_true - y_pred)

    value = _dense(Distance()).mean_loss(tf.constant([[1, 2]]), tf.constant([[3.0, 4.0]]))
    assert float(value) == 4.0


def test_regularisers_belong_to_the_loss():
    model = keras.Sequential([keras.Input([1]), layers.Dense(1, kernel_regularizer="l2")])
    network = Network(model, "mse")
    weights = network.weights._replace(model=[tf.constant([[3.0]]), tf.constant([0.0])])
    loss, _, _ = network.query_loss(weights, Examples(tf.ones([1, 1]), tf.ones([1, 1])))
    np.testing.assert_allclose(loss, (3 - 1) ** 2 + 0.01 * 3**2, rtol=1e-6)


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (None, [0, 1, 2, 3]),
        (("two",), [2, 3]),
        (("one/kernel",), [0]),
        (("*/bias",), [1, 3]),
        (("bias",), [1, 3]),
        (("!two",), [0, 1]),
        (("o*", "!bias"), [0]),
        (("o?e", "two"), [0, 1, 2, 3]),
    ],
)
def test_patterns_choose_weights(patterns, chosen):
    assert _dense().positions(patterns) == chosen


def test_a_frozen_model_says_so():
    network = _dense()
    network.model.trainable = False
    with pytest.raises(ValueError, match="no trainable weight"):
        network.positions(None)


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        (lambda: keras.Sequential([layers.Dense(1)]), "mse", "must be built"),
        (lambda: layers.Dense(1), "mse", "must be a keras.Model. Received: Dense"),
        (lambda: meta_tf.models.mlp(), "msee", "`loss` is not a Keras loss. Received: 'msee'"),
        (lambda: meta_tf.models.mlp(), None, "`loss` must be"),
    ],
)
def test_a_wrong_argument_is_named(model, loss, message):
    with pytest.raises(ValueError, match=message):
        Network(model(), loss)


def test_an_unknown_batch_norm_mode_is_named():
    with pytest.raises(ValueError, match=r"`batch_norm` must be one of 'transductive'.*'batch'"):
        _dense(batch_norm="batch")


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [[0], [1, 2], [0, 1, 2], -1])
def test_the_exact_moments_are_those_of_tensorflow(axes, keepdims):
    x = tf.random.normal([4, 3, 5])
    ours = exact_moments(x, axes, keepdims=keepdims)
    for one, other in zip(ours, tf.nn.moments(x, axes, keepdims=keepdims), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_outside_of_tracing_tensorflow_and_keras_are_untouched():
    moments, call = tf.nn.moments, layers.BatchNormalization.call
    with exact_normalization(True):
        assert tf.nn.moments is exact_moments and layers.BatchNormalization.call is not call
        with exact_normalization(False):
            assert tf.nn.moments is exact_moments
        assert tf.nn.moments is exact_moments
    assert tf.nn.moments is moments and layers.BatchNormalization.call is call

    class Broken(layers.Layer):
        def call(self, x):
            assert tf.nn.moments is exact_moments
            raise RuntimeError("broken")

    model = keras.Sequential([layers.Dense(1), Broken()])
    model.layers[0].build([None, 1])
    model.built = True
    network = Network(model, "mse")
    with pytest.raises(RuntimeError, match="broken"):
        network(network.weights, tf.ones([1, 1]))
    assert tf.nn.moments is moments and layers.BatchNormalization.call is call


def test_another_thread_keeps_its_own_batch_norm():
    layer = layers.BatchNormalization()
    layer.build([None, 2])
    x, seen = tf.constant([[1.0, 2.0], [3.0, 4.0]]), []
    with exact_normalization(True):
        other = threading.Thread(target=lambda: seen.append(layer(x, training=False)))
        other.start()
        other.join()
    np.testing.assert_allclose(seen[0], x / np.sqrt(1 + layer.epsilon), rtol=1e-6)


def test_the_list_of_modes_is_that_of_the_documentation():
    assert normalization.BATCH_NORM_MODES == ("transductive", "support", "running")


class _TakesNoTraining(keras.Model):
    """A model as people write it: `training` is left to Keras."""

    def __init__(self):
        super().__init__()
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.head = keras.layers.Dense(1, "linear", name="head")

    def call(self, x):
        return self.head(self.dropout(x))


def test_dropout_inside_a_model_that_does_not_take_training_acts_in_training():
    model, x = _TakesNoTraining(), tf.ones([4, 8])
    plain = model(x)
    network = Network(model, "mse")
    weights = network.weights
    still = network(weights, x)
    _, dropped, state = network.query_loss(weights, Examples(x, still), training=True)
    np.testing.assert_array_equal(still, plain)
    assert np.abs(dropped - plain).max() > 1e-3
    np.testing.assert_array_equal(dropped, model(x, training=True))  # the same seed
    (seed,), (before,) = state, weights.state
    assert not np.array_equal(seed, before)


def _two_inputs():
    a, b = keras.Input([3], name="a"), keras.Input([2], name="b")
    body = layers.Dense(4, "tanh", name="body")(layers.Concatenate(name="both")([a, b]))
    return keras.Model({"a": a, "b": b}, layers.Dense(2, name="head")(body))


def _rebuilt():
    model = keras.Sequential([keras.Input([3])])
    for layer in (layers.Dense(4, "tanh", name="body"), layers.Dense(2, name="head")):
        model.add(layer)  # each addition calls all layers anew
    model.build([None, 3])
    return model


@pytest.mark.parametrize("build", [_two_inputs, _rebuilt])
def test_a_part_of_the_model_runs_on_the_given_weights(build):
    model, rng = build(), np.random.default_rng(0)
    network = Network(model, "mse")
    weights = network.weights._replace(model=[2 * w for w in network.weights.model])
    x = {"a": rng.standard_normal([5, 3]), "b": rng.standard_normal([5, 2])}
    x = {name: tf.constant(t, tf.float32) for name, t in x.items()}
    joined = tf.concat([x["a"], x["b"]], 1) if build is _two_inputs else x["a"]
    kernel, bias = (2 * w for w in model.get_weights()[:2])
    outputs, _ = network.support_outputs(
        weights, x if build is _two_inputs else x["a"], training=False, before="head"
    )
    np.testing.assert_allclose(outputs, np.tanh(joined @ kernel + bias), rtol=1e-5)
