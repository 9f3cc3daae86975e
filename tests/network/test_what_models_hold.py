"""Layers and losses of Keras that carry more than weights: constants, constraints, branches."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.batch.map_tasks import sum_tasks
from meta_tf.evaluation.metrics import TaskInterval
from meta_tf.network.network import Network
from meta_tf.types import Examples
from tests.learners import CE, make_batch, make_learner

layers = keras.layers
RNG = np.random.default_rng(0)


class Scaled(layers.Layer):
    """Holds constants that are no weights, made eagerly: a small one, a large one, a variable."""

    def build(self, shape):
        self.small = tf.constant(np.linspace(1, 2, shape[-1]), tf.float32)
        self.large = tf.constant(np.ones([200, shape[-1]]) / 100, tf.float32)
        self.variable = tf.Variable(2.0)  # which Keras does not know of

    def call(self, x):
        return x * self.small * tf.reduce_sum(self.large, 0) * self.variable


def test_constants_of_layers_are_the_same_in_a_loop_and_written_out():
    normalization = layers.Normalization()
    normalization.adapt(RNG.normal(3, 2, [20, 3]).astype("float32"))
    model = keras.Sequential(
        [keras.Input([3]), normalization, layers.Dense(4, "tanh"), Scaled(), layers.Dense(2)]
    )
    network, (x, y) = Network(model, CE), make_batch(tasks=1)
    support = Examples(tf.constant(x["support_x"][0]), tf.constant(x["support_y"][0]))
    query = Examples(tf.constant(x["query_x"][0]), tf.constant(y[0]))

    def gradients(unroll):
        algorithm = meta_tf.MAML(0.1, 2, unroll=unroll)
        run = tf.function(
            lambda: algorithm.meta_gradients(network, network.weights, support, query).gradients,
            autograph=False,
        )
        return run()

    for looped, written in zip(gradients(0), gradients(2), strict=True):
        np.testing.assert_allclose(looped, written, rtol=1e-4, atol=1e-6)


def test_a_layer_with_a_branch_of_its_own_runs_task_by_task():
    # As SpectralNormalization has one; TensorFlow cannot vectorise the branch's gradient.
    def learn(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cond(tf.reduce_all(x > 0), lambda: x**2, lambda: 3 * x)
        return tape.gradient(y, x), ()

    run = tf.function(lambda x: sum_tasks(learn, x)[0], autograph=False)
    found = run(tf.constant([[1.0, 2.0], [-1.0, 2.0]]))
    np.testing.assert_array_equal(found, [[2.0, 4.0], [3.0, 3.0]])


@pytest.mark.slow
def test_spectral_normalisation_learns():
    model = keras.Sequential(
        [keras.Input([3]), layers.SpectralNormalization(layers.Dense(4, "relu")), layers.Dense(2)]
    )
    history = make_learner(model).fit(*make_batch(), verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_constraints_hold_after_inner_and_outer_steps():
    # One step of gradient descent, projected: W = max(0, W - α G), b = (b - α g) / |b - α g|.
    dense = layers.Dense(2, kernel_constraint="non_neg", bias_constraint="unit_norm")
    model = keras.Sequential([keras.Input([3]), dense])
    learner = make_learner(
        model, meta_tf.MAML(5.0, 1), optimizer=keras.optimizers.SGD(1.0), jit_compile=False
    )
    dense.kernel.assign(abs(dense.kernel))
    x, y = make_batch()
    support = Examples(x["support_x"][0], x["support_y"][0])
    network = learner.network
    (g, h), _ = network.support_gradients(network.weights, support, [0, 1], training=False)
    kernel = np.maximum(dense.kernel - 5 * g, 0)
    bias = dense.bias - 5 * h
    fitted = learner.adapt(*support)
    assert np.any(kernel == 0)
    np.testing.assert_allclose(fitted.weights_now.model[0], kernel, rtol=1e-5)
    np.testing.assert_allclose(fitted.weights_now.model[1], bias / np.linalg.norm(bias), rtol=1e-4)
    dense.bias.assign([0.6, 0.8])
    learner.fit(x, y, verbose=0)
    assert np.min(dense.kernel) >= 0
    np.testing.assert_allclose(np.linalg.norm(dense.bias), 1, rtol=1e-4)
    with pytest.raises(ValueError, match=r"IMAML adapts.*kernel'"):
        make_learner(model, meta_tf.IMAML())


def test_losses_of_layers_add_up_as_in_keras_whatever_their_types():
    class Adds(layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(x**2, -1))  # Keras takes the sum of several
            return x

    def make():
        regularised = layers.Dense(4, "relu", kernel_regularizer="l2", activity_regularizer="l1")
        last = layers.Dense(2, dtype="float32")
        return keras.Sequential([keras.Input([3]), regularised, Adds(), last])

    x, y = make_batch(tasks=1)
    support = Examples(x["query_x"][0], y[0])
    plain = make()
    plain.compile("sgd", CE)
    expected = plain.evaluate(*support, verbose=0)
    keras.config.set_dtype_policy("mixed_float16")
    mixed = make()
    mixed.set_weights(plain.get_weights())
    for model, precision in ((plain, 1e-5), (mixed, 1e-2)):  # of the second Keras adds up nothing
        network = Network(model, CE)
        loss, _ = network.support_loss(network.weights, support, training=False)
        np.testing.assert_allclose(loss, expected, rtol=precision)


@pytest.mark.parametrize("single", [False, True])
def test_models_of_several_outputs_are_refused(single):
    x = keras.Input([3])
    outputs = {"a": layers.Dense(2)(x)} | ({} if single else {"b": layers.Dense(1)(x)})
    with pytest.raises(ValueError, match=r"single output.*a dict of"):
        Network(keras.Model(x, outputs), CE)

    class Several(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x), x

    model, (batch, _) = Several(), make_batch()
    model(batch["query_x"][0])
    with pytest.raises(ValueError, match=r"single output.*a tuple of 2 outputs"):
        make_learner(model).adapt(batch["support_x"][0], batch["support_y"][0])
    Network(keras.Model(x, [outputs["a"]]), CE)  # Keras takes it out of the list


def test_what_a_loss_says_and_nobody_would_heed_is_refused():
    class Called(keras.losses.Loss):
        def __call__(self, y_true, y_pred, sample_weight=None):
            return keras.ops.mean((y_true - y_pred) ** 2)

    with pytest.raises(ValueError, match="overrides `__call__`"):
        Network(meta_tf.models.mlp(), Called())
    with pytest.raises(ValueError, match="dtype='float16'"):
        Network(meta_tf.models.mlp(), keras.losses.MeanSquaredError(dtype="float16"))


def test_the_interval_of_a_large_mean_does_not_vanish():
    # 30 tasks, each with an error of its own: m_t = d_t², about 1e4 with a deviation of about 1.
    errors = (100 + RNG.normal(0, 0.005, [30, 1, 1])).astype("float32")
    interval = TaskInterval("mse")
    for part in np.split(errors, 3):
        interval.update_state(np.zeros_like(part), part)
    values = np.square(errors).astype("float64").reshape(-1)
    expected = 1.96 * values.std(ddof=1) / np.sqrt(30)
    np.testing.assert_allclose(interval.result(), expected, rtol=1e-3)


def test_eager_steps_take_arrays():
    learner = make_learner(metrics=["accuracy"], run_eagerly=True)
    x, y = make_batch()
    before = learner.test_on_batch(x, y)
    learner.train_on_batch(x, y)
    learner.fit(x, y, verbose=0)
    after = learner.test_on_batch(x, y)
    assert after[0] < before[0]
    np.testing.assert_allclose(learner.evaluate(x, y, verbose=0), after, rtol=1e-5)


def test_a_right_fit_after_a_refused_one():
    learner = make_learner(metrics=["accuracy"], jit_compile=False)
    x, y = make_batch()
    with pytest.raises(ValueError, match="query_y"):
        learner.fit(tf.data.Dataset.from_tensors((x, np.eye(2)[y])), shuffle=False, verbose=0)
    history = learner.fit(tf.data.Dataset.from_tensors((x, y)), shuffle=False, verbose=0)
    assert history.history.keys() == {"loss", "accuracy"}


def test_labels_may_be_boolean():
    learner = make_learner(jit_compile=False)
    x, y = make_batch()
    one, other = x["support_x"][0], x["support_y"][0]
    np.testing.assert_array_equal(
        learner.adapt(one, other > 0)(one), learner.adapt(one, other)(one)
    )
    loss = learner.test_on_batch(x, y)
    as_booleans = {**x, "support_y": x["support_y"] > 0}
    np.testing.assert_allclose(learner.test_on_batch(as_booleans, y > 0), loss)


def test_what_is_no_list_of_names_and_no_array_is_named():
    Image = pytest.importorskip("PIL.Image")
    learner, (x, _) = make_learner(), make_batch()
    x, y = x["support_x"][0], x["support_y"][0]
    with pytest.raises(ValueError, match="must be a list of different texts"):
        learner.adapt(x, y, class_names={"a", "b"})
    pictures = [Image.new("L", [3, 3])] * 5
    with pytest.raises(ValueError, match=r"Received: pictures \(Image\).*np\.stack"):
        learner.adapt(pictures, y)
    with pytest.raises(ValueError, match="at least one input"):
        learner.adapt(x, y, class_names=["a", "b"]).predict_names(x[:0])
