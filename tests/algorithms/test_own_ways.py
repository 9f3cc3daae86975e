"""Algorithms from outside that predict in their own way, or give the model their own inputs."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from examples.cavia import CAVIA, context_mlp
from meta_tf.network import Network
from meta_tf.testing.finite_differences import meta_gradient_error
from meta_tf.types import Examples
from tests.learners import wiggled


@pytest.fixture(autouse=True)
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


@keras.saving.register_keras_serializable("tests")
@dataclasses.dataclass(frozen=True)
class Doubling(meta_tf.MAML):
    """MAML whose predictions are twice the model's outputs."""

    def predict(self, network, adapted, query_x):
        return 2 * network(adapted, query_x)


def _task(seed=0, inputs=1):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=[2, 4, inputs]), rng.normal(size=[2, 4, 1])
    return Examples(*map(tf.constant, (x[0], y[0]))), Examples(*map(tf.constant, (x[1], y[1])))


def test_training_goes_through_predict():
    # L_Q(w) = mean (2 x w - y)² without steps, so dL/dw = mean 2 (2 x w - y) 2 x.
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    network, (support, query) = Network(model, "mse"), _task()
    w = network.weights.model[0].numpy()
    result = Doubling(0.1, inner_steps=0).meta_gradients(network, network.weights, support, query)
    x, y = query.x.numpy(), query.y.numpy()
    np.testing.assert_allclose(result.predictions, 2 * x @ w, rtol=1e-12)
    np.testing.assert_allclose(result.loss, np.mean((2 * x @ w - y) ** 2), rtol=1e-12)
    expected = np.mean(2 * (2 * x @ w - y) * 2 * x, keepdims=True)
    np.testing.assert_allclose(result.gradients[0], expected, rtol=1e-12)


def test_the_query_pass_of_training_has_dropout_state_and_regularisers():
    model = keras.Sequential(
        [
            keras.Input([1]),
            keras.layers.Dense(8, kernel_regularizer="l2", name="dense"),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(1, name="head"),
        ]
    )
    network, (support, query) = Network(model, "mse"), _task()
    weights = network.weights
    for algorithm in (meta_tf.MAML(0.1, 0), Doubling(0.1, 0)):
        loss, predictions, state = algorithm.task_loss(network, weights, support, query)
        assert np.abs(predictions - algorithm.predict(network, weights, query.x)).max() > 1e-3
        assert np.any(state[0] != weights.state[0])  # dropout's seed went on
        penalty = 0.01 * np.sum(weights.model[0].numpy() ** 2)
        expected = np.mean((predictions.numpy() - query.y.numpy()) ** 2) + penalty
        np.testing.assert_allclose(loss, expected, rtol=1e-7)  # Keras's 0.01 is of float32


def _cavia_network(dimension=1, context=3):
    model = context_mlp((dimension,), 1, context, hidden=5)
    return Network(model, "mse")


@pytest.mark.parametrize("unroll", [0, 8])
def test_cavia_learns_a_context_and_leaves_the_weights(unroll):
    # By hand: gradient steps on c, of the model given [x, c].
    network, (support, _) = _cavia_network(), _task()
    weights = network.weights
    algorithm = CAVIA(0.5, inner_steps=3, context=3, unroll=unroll)
    adapted = algorithm.adapt(network, weights, support)
    context = tf.zeros([3], tf.float64)
    for _ in range(3):
        with tf.GradientTape() as tape:
            tape.watch(context)
            given = tf.concat([support.x, tf.tile(context[tf.newaxis], [4, 1])], -1)
            loss = tf.reduce_mean((network.model(given) - support.y) ** 2)
        context -= 0.5 * tape.gradient(loss, context)
    np.testing.assert_allclose(adapted.meta["context"], context, rtol=1e-10)
    for one, other in zip(adapted.model, weights.model, strict=True):
        np.testing.assert_array_equal(one, other)


def test_cavias_meta_gradient_is_that_of_finite_differences():
    network, (support, query) = _cavia_network(), _task()
    keras.utils.set_random_seed(1)
    weights = wiggled(network.weights)
    # Tanh would be smoother than relu; the steps are small enough for no unit to switch.
    error = meta_gradient_error(CAVIA(0.1, 2, context=3), network, weights, support, query)
    assert error < 1e-6


def _cavia_learner():
    keras.utils.set_random_seed(0)
    model = context_mlp((1,), 1, 3, hidden=5)
    return meta_tf.MetaLearner(model, CAVIA(0.5, 2, context=3), "mse")


def test_inputs_of_its_own_pass_the_checks_and_wrong_ones_do_not():
    learner = _cavia_learner()
    learner.compile("sgd", jit_compile=False)
    x, y = tf.ones([2, 4, 1]), tf.ones([2, 4, 1])
    batch = {"support_x": x, "support_y": y, "query_x": x}
    assert np.isfinite(learner.train_on_batch(batch, y))
    assert learner.predict_on_batch(batch).shape == (2, 4, 1)
    spec = {name: keras.KerasTensor([None, 4, 1], dtype="float64") for name in batch}
    assert learner.compute_output_spec(spec).shape == (None, 4, 1)
    with pytest.raises(ValueError, match=r"`support_x` must be .* with examples of shape \(1,\)"):
        learner.adapt(tf.ones([4, 4]), tf.ones([4, 1]))  # as wide as the model itself


def test_cavia_is_saved_loaded_and_exported(tmp_path):
    learner, (support, query) = _cavia_learner(), _task()
    fitted = learner.adapt(*support)
    expected = fitted(query.x)
    learner.save(tmp_path / "learner.keras")
    fitted.save(tmp_path / "fitted.keras")
    learner.export(tmp_path / "saved_model")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(loaded.adapt(*support)(query.x), expected)
    again = keras.models.load_model(tmp_path / "fitted.keras")
    np.testing.assert_array_equal(again(query.x), expected)
    signatures = tf.saved_model.load(str(tmp_path / "saved_model")).signatures
    given = {"support_x": support.x, "support_y": support.y, "query_x": query.x}
    answer = signatures["adapt_and_predict"](**given)["predictions"]
    np.testing.assert_allclose(answer, expected, rtol=1e-9)
    context = signatures["adapt"](support_x=support.x, support_y=support.y)
    assert {name: t.shape for name, t in context.items()} == {"context": [3]}


def test_a_trajectory_holds_what_each_number_of_steps_predicts():
    learner, tasks = _cavia_learner(), [_task(0), _task(1)]
    x = {
        "support_x": tf.stack([s.x for s, _ in tasks]),
        "support_y": tf.stack([s.y for s, _ in tasks]),
        "query_x": tf.stack([q.x for _, q in tasks]),
    }
    predictions = learner.trajectory(x, steps=3)
    assert predictions.shape == (2, 4, 4, 1)
    for t, (support, query) in enumerate(tasks):
        for k in range(4):
            fitted = learner.adapt(*support, steps=k)
            np.testing.assert_allclose(predictions[t, k], fitted(query.x), rtol=1e-9)
    assert learner.trajectory(x).shape == (2, 3, 4, 1)  # the algorithm's own two steps
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 0"):
        learner.trajectory(x, steps=-1)
