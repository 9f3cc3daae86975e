"""MetaDense: its mathematics, its life in Keras models, and the example it comes from."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import original_example
from meta_tf import layers
from meta_tf.layers import MetaDense

# The original example, as it was written for TensorFlow 1.
INPUTS, OUTPUTS, BATCH, STEPS = 10, 5, 10, 1000


class OriginalMetaLearner:
    """The example's class, word for word but for the `tf.compat.v1` in front."""

    def __init__(self, input_dim=INPUTS, output_dim=OUTPUTS):
        self.W = tf.compat.v1.Variable(tf.compat.v1.random_normal([input_dim, output_dim]))
        self.b = tf.compat.v1.Variable(tf.compat.v1.random_normal([output_dim]))

    def forward(self, x):
        return tf.compat.v1.nn.relu(tf.compat.v1.matmul(x, self.W) + self.b)


def train_original(batches):
    """Returns W and b before and after one step of the original program on each batch."""
    with tf.Graph().as_default():
        tf.compat.v1.set_random_seed(1)
        learner = OriginalMetaLearner()
        x = tf.compat.v1.placeholder(tf.float32, [None, INPUTS])
        loss = -tf.compat.v1.reduce_mean(learner.forward(x))
        train = tf.compat.v1.train.AdamOptimizer().minimize(loss)
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            start = session.run([learner.W, learner.b])
            for batch in batches:
                session.run(train, {x: batch})
            return start, session.run([learner.W, learner.b])


def train_port(start, batches):
    """Returns W and b of a MetaDense after the same steps from the same start."""
    model = keras.Sequential([keras.Input([INPUTS]), MetaDense(OUTPUTS)])
    model.set_weights(start)
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(model.trainable_variables)

    @tf.function
    def train_step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))

    for batch in batches:
        train_step(tf.constant(batch))
    return model.get_weights()


def test_the_port_learns_what_the_original_example_learned():
    batches = np.random.default_rng(0).normal(size=[STEPS, BATCH, INPUTS]).astype("float32")
    start, original = train_original(batches)
    port = train_port(start, batches)
    for before, then, now in zip(start, original, port, strict=True):
        assert np.abs(then - before).max() > 0.1
        np.testing.assert_allclose(now, then, rtol=0, atol=1e-5)
    assert tf.executing_eagerly()


def some_weights():
    """Returns x [6, 4], W [4, 3] and b [3]."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype("float32") for shape in ([6, 4], [4, 3], [3])]


def layer_with(w, b, **options):
    layer = MetaDense(w.shape[1], use_bias=b is not None, **options)
    layer.build([None, w.shape[0]])
    layer.set_weights([w] if b is None else [w, b])
    return layer


def test_the_example_prints_a_falling_loss(capsys):
    original_example.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"step {i}" for i in range(0, STEPS, 100)]
    losses = [float(line.split()[-1]) for line in lines]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


# σ and its derivative
ACTIVATIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype("float32")),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    None: (lambda z: z, np.ones_like),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_output_and_gradient_match_the_closed_form(activation):
    # With z = x W + b, y = σ(z) and loss = Σ c y:
    #   dz = c σ'(z),   dW = xᵀ dz,   db = Σ_rows dz,   dx = dz Wᵀ.
    x, w, b = some_weights()
    c = np.random.default_rng(1).normal(size=[6, 3]).astype("float32")
    layer = layer_with(w, b, activation=activation)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = layer(inputs)
        loss = tf.reduce_sum(c * y)
    dx, dw, db = tape.gradient(loss, [inputs, *layer.trainable_variables])

    sigma, derivative = ACTIVATIONS[activation]
    z = x @ w + b
    dz = c * derivative(z)
    np.testing.assert_allclose(y, sigma(z), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dx, dz @ w.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dw, x.T @ dz, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(db, dz.sum(axis=0), rtol=1e-5, atol=1e-6)


def test_without_bias_and_with_more_axes():
    x, w, _ = some_weights()
    layer = layer_with(w, None, activation=None)
    assert [v.name for v in layer.trainable_variables] == ["kernel"]
    y = layer(x.reshape(2, 3, 4))
    assert y.shape == layer.compute_output_shape((2, 3, 4)) == (2, 3, 3)
    np.testing.assert_allclose(y, (x @ w).reshape(2, 3, 3), rtol=1e-5, atol=1e-6)


def test_weights_start_as_independent_standard_normal_numbers():
    first, second = MetaDense(1000), MetaDense(1000)
    for layer in (first, second):
        layer.build([None, 200])
    # Standard errors: 1/√n of the mean and 1/√(2n) of the deviation; five of them allowed.
    for weight in (first.kernel, first.bias):
        values = weight.numpy().ravel()
        assert abs(values.mean()) < 5 / np.sqrt(values.size)
        assert abs(values.std() - 1) < 5 / np.sqrt(2 * values.size)
    assert not np.array_equal(first.kernel, second.kernel)
    assert not np.array_equal(first.kernel[0], first.bias)


def test_initializers_can_be_chosen():
    layer = MetaDense(2, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(3))
    np.testing.assert_array_equal(layer(np.ones([1, 4], "float32")), [[7, 7]])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = MetaDense(8)
        self.head = MetaDense(3, activation=None)

    def call(self, x):
        return self.head(self.hidden(x))


def sequential():
    return keras.Sequential([MetaDense(8), MetaDense(3, activation=None)])


def functional():
    x = keras.Input([4])
    return keras.Model(x, MetaDense(3, activation=None)(MetaDense(8)(x)))


@pytest.mark.parametrize("build", [sequential, functional, Subclassed])
def test_works_in_every_kind_of_model(build):
    model = build()
    x = some_weights()[0]
    expected = model(x)
    w1, b1, w2, b2 = model.get_weights()
    np.testing.assert_allclose(expected, np.maximum(x @ w1 + b1, 0) @ w2 + b2, rtol=1e-5, atol=1e-5)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros([6, 3], "float32"), batch_size=6, verbose=0)
    assert all(
        np.abs(now - before).max() > 0
        for now, before in zip(model.get_weights(), [w1, b1, w2, b2], strict=True)
    )


def test_survives_saving_and_configuration(tmp_path):
    x, w, b = some_weights()
    model = keras.Sequential(
        [keras.Input([4]), MetaDense(3, activation="tanh", bias_initializer="zeros", name="f")]
    )
    model.set_weights([w, b])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert type(loaded.layers[0]) is MetaDense

    config = model.layers[0].get_config()
    again = MetaDense.from_config(config)
    assert again.get_config() == config
    assert (again.name, again.units, again.activation) == ("f", 3, keras.activations.tanh)


@pytest.mark.parametrize(("policy", "bits"), [("mixed_bfloat16", 8), ("mixed_float16", 11)])
def test_mixed_precision_computes_low_and_keeps_weights_and_gradients_high(policy, bits):
    x, w, b = some_weights()
    keras.config.set_dtype_policy(policy)
    layer = layer_with(w, b)
    with tf.GradientTape() as tape:
        y = layer(tf.constant(x))
        loss = tf.reduce_mean(tf.cast(y, tf.float32))
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert y.dtype == policy.removeprefix("mixed_")
    assert {v.dtype for v in layer.trainable_variables} == {"float32"}
    assert {g.dtype for g in gradients} == {tf.float32}
    # Rounding to so many significant bits changes a value by up to 2^-bits of itself; it
    # happens to x, W and b, to their product and sum, and twice more is allowed.
    bound = 7 * 2.0**-bits * (np.abs(x) @ np.abs(w) + np.abs(b)).max()
    np.testing.assert_allclose(tf.cast(y, tf.float32), np.maximum(x @ w + b, 0), rtol=0, atol=bound)


def test_eager_graph_and_xla_agree():
    x, w, b = some_weights()
    layer = layer_with(w, b)

    def value_and_gradient(x):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(layer(x) ** 2)
        return [value, *tape.gradient(value, layer.trainable_variables)]

    eager = value_and_gradient(tf.constant(x))
    for jit in (False, True):
        compiled = tf.function(value_and_gradient, jit_compile=jit)(tf.constant(x))
        for one, other in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("units", [0, -3, 2.5, True, "5", None])
def test_units_must_be_a_positive_whole_number(units):
    with pytest.raises(ValueError, match=rf"`units`.*at least 1.*MetaDense.*Received: {units!r}"):
        MetaDense(units)


@pytest.mark.parametrize("activation", ["rellu", 3])
def test_activation_must_be_known(activation):
    with pytest.raises(ValueError, match=r"`activation`.*Received: activation=.*'relu'"):
        MetaDense(5, activation=activation)


def test_inputs_must_have_the_size_that_the_layer_was_built_for():
    with pytest.raises(ValueError, match=r"last axis.*Received: input_shape=\(None, None\)"):
        MetaDense(5)(keras.Input([None]))
    layer = MetaDense(5)
    layer(np.zeros([2, 10], "float32"))
    with pytest.raises(ValueError, match=r"expected axis -1 .* value 10, .* shape \(2, 7\)"):
        layer(np.zeros([2, 7], "float32"))
    with pytest.raises(ValueError, match=r"expected min_ndim=2, found ndim=1"):
        MetaDense(5)(np.zeros([10], "float32"))


def test_the_example_in_the_docstring_runs():
    assert doctest.testmod(layers).failed == 0
