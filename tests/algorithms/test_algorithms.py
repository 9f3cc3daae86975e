"""The algorithms against closed forms and independent implementations, all in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.algorithms import inner_optimizers
from meta_tf.network.network import Network
from meta_tf.types import Examples
from tests.learners import wiggled
from tests.marks import slow

LR = 0.1


@pytest.fixture(autouse=True)
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def _line(w=1.0):
    """The model w x."""
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[w]])])
    return Network(model, "mse")


def _point(x, y):
    return Examples(tf.constant([[x]], tf.float64), tf.constant([[y]], tf.float64))


def _outer(algorithm, network, support, query):
    weights = network.weights._replace(meta=algorithm.meta_weights(network))
    return algorithm.meta_gradients(network, weights, support, query)


@pytest.mark.parametrize("unroll", [0, 10])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("first_order", [False, True])
def test_outer_gradient_matches_the_closed_form(steps, first_order, unroll):
    # Support (x=1, y=2), query (x=1, y=3), w = 1, loss (w x - y)²:
    #   w_k = 2 + (w - 2) (1 - 2 LR)^k,   dL_q/dw = 2 (w_k - 3) (1 - 2 LR)^k,
    # and first order drops the last factor.
    shrink = (1 - 2 * LR) ** steps
    expected = 2 * (2 - shrink - 3) * (1 if first_order else shrink)
    maml = meta_tf.MAML(LR, inner_steps=steps, first_order=first_order, unroll=unroll)
    result = _outer(maml, _line(), _point(1.0, 2.0), _point(1.0, 3.0))
    np.testing.assert_allclose(result.loss, (2 - shrink - 3) ** 2, rtol=1e-12)
    np.testing.assert_allclose(result.gradients[0], [[expected]], rtol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [("scalar", []), ("tensor", [1]), ("tensor_step", [3, 1]), ("weight", [1, 1])],
)
def test_the_gradient_of_a_learned_rate_matches_the_closed_form(kind, shape, first_order):
    # As above, with a rate a_i for each of three steps: e_k = w_k - 2 = -Π (1 - 2 a_i) and
    #   dL_q/da_i = 2 (e_3 - 1) · (-2 e_3 / (1 - 2 a_i)).
    # With the gradients taken for constants (first order), only the step i itself knows a_i:
    #   dw_3/da_i = -2 e_i. A rate that all steps share gets the sum.
    shrink = 1 - 2 * LR
    e = [-(shrink**k) for k in range(4)]
    each = [-2 * e[i] if first_order else -2 * e[3] / shrink for i in range(3)]
    by_step = [2 * (e[3] - 1) * d for d in each]
    expected = by_step if kind == "tensor_step" else sum(by_step)
    maml = meta_tf.MAML(LR, inner_steps=3, learned_lr=kind, first_order=first_order)
    result = _outer(maml, _line(), _point(1.0, 2.0), _point(1.0, 3.0))
    (gradient,) = result.meta_gradients.values()
    np.testing.assert_allclose(gradient, np.reshape(expected, shape), rtol=1e-12)


def test_rates_by_step_go_on_with_the_last_one():
    maml = meta_tf.MAML(LR, inner_steps=2, learned_lr="tensor_step")
    network = _line()
    weights = network.weights._replace(meta={"inner_lr": tf.constant([[0.1], [0.2]], tf.float64)})
    adapted = maml.adapt(network, weights, _point(1.0, 2.0), steps=4)
    expected = 2 - (1 - 0.2) * (1 - 0.4) ** 3
    np.testing.assert_allclose(adapted.model[0], [[expected]], rtol=1e-12)


@pytest.mark.parametrize("steps", [slow(0), 1, 7])
def test_the_number_of_steps_may_come_at_run_time(steps):
    maml, network = meta_tf.MAML(LR), _line()

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def adapted(count):
        return maml.adapt(network, network.weights, _point(1.0, 2.0), steps=count).model[0]

    expected = 2 - (1 - 2 * LR) ** steps
    np.testing.assert_allclose(adapted(tf.constant(steps)), [[expected]], rtol=1e-12)


def _mlp(seed=0):
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
    return meta_tf.models.mlp(3, 2, (4,), "tanh", initializer)


def _tasks(count=3, size=5):
    rng = np.random.default_rng(0)
    normal = lambda *shape: tf.constant(rng.standard_normal([count, size, *shape]))  # noqa: E731
    x = {"support_x": normal(3), "support_y": normal(2), "query_x": normal(3)}
    return x, normal(2)


def _own_loss(weights, x, y):
    a, b, c, d = weights
    return tf.reduce_mean((tf.tanh(x @ a + b) @ c + d - y) ** 2)


def _own_gradient(weights, x, y):
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = _own_loss(weights, x, y)
    return tape.gradient(loss, weights)


def _own_meta_gradient(weights, sx, sy, qx, qy, steps):
    """(I - α H_0) ... (I - α H_{k-1}) ∇L_Q(w_k), with H_i the Hessian of L_S at w_i."""
    path = [weights]
    for _ in range(steps):
        slope = _own_gradient(path[-1], sx, sy)
        path.append([w - LR * g for w, g in zip(path[-1], slope, strict=True)])
    v = _own_gradient(path[-1], qx, qy)
    for here in reversed(path[:-1]):
        # The Hessian times v, forwards: the derivative of the gradient in the direction v.
        with tf.autodiff.ForwardAccumulator(here, v) as forward:
            gradient = _own_gradient(here, sx, sy)
        v = [a - LR * h for a, h in zip(v, forward.jvp(gradient), strict=True)]
    return v


@pytest.mark.parametrize("unroll", [slow(0), 8])
def test_a_training_step_matches_an_independent_implementation(unroll):
    model, steps, outer_lr = _mlp(), 3, 0.5
    (x, y), weights = _tasks(), [tf.constant(w) for w in model.get_weights()]
    each = [
        _own_meta_gradient(
            weights, x["support_x"][t], x["support_y"][t], x["query_x"][t], y[t], steps
        )
        for t in range(3)
    ]
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(LR, inner_steps=steps, unroll=unroll), "mse")
    learner.compile(keras.optimizers.SGD(outer_lr), jit_compile=False)
    learner.train_on_batch(x, y)
    for before, after, *gradients in zip(weights, model.get_weights(), *each, strict=True):
        mean = sum(gradients) / 3
        np.testing.assert_allclose(after, before - outer_lr * mean, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("optimizer", inner_optimizers.OPTIMIZERS)
def test_an_inner_optimizer_steps_like_its_keras_namesake(optimizer):
    theirs = {
        "sgd": keras.optimizers.SGD(LR),
        "momentum": keras.optimizers.SGD(LR, momentum=0.9),
        "adam": keras.optimizers.Adam(LR),
    }[optimizer]
    model, (x, _) = _mlp(), _tasks()
    network = Network(model, "mse")
    support = Examples(x["support_x"][0], x["support_y"][0])
    maml = meta_tf.MAML(LR, inner_steps=4, optimizer=optimizer)
    adapted = maml.adapt(network, network.weights, support)
    for _ in range(4):
        gradients = _own_gradient([v.value for v in model.trainable_variables], *support)
        theirs.apply(gradients, model.trainable_variables)
    for ours, keras_weight in zip(adapted.model, model.get_weights(), strict=True):
        # Keras rounds the decay rates to float32, and takes 1 - 0.999 after that.
        tolerance = {"sgd": 1e-12, "momentum": 1e-6, "adam": 1e-4}[optimizer]
        np.testing.assert_allclose(ours, keras_weight, rtol=tolerance)


@pytest.mark.parametrize("optimizer", inner_optimizers.OPTIMIZERS)
def test_zero_gradients_move_nothing_and_are_no_nan(optimizer):
    # The support target is met, so every gradient of the inner loop is 0: w_k = w, and with
    # plain SGD dL_q/dw = 2 (w - 3) (1 - 2 LR)³.
    maml = meta_tf.MAML(LR, inner_steps=3, optimizer=optimizer)
    result = _outer(maml, _line(), _point(1.0, 1.0), _point(1.0, 3.0))
    np.testing.assert_allclose(result.loss, 4.0)
    assert np.isfinite(result.gradients[0]).all()
    if optimizer == "sgd":
        np.testing.assert_allclose(result.gradients[0], [[-4 * (1 - 2 * LR) ** 3]])


@pytest.mark.slow
def test_the_loop_equals_the_written_out_steps():
    model = keras.Sequential(
        [
            keras.Input([3]),
            keras.layers.Dense(4, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(2),
        ]
    )
    network, (x, y) = Network(model, "mse"), _tasks(2)
    support, query = (Examples(x["support_x"][t], y[t]) for t in range(2))
    results = []
    for unroll in (0, 30):
        maml = meta_tf.MAML(LR, inner_steps=30, unroll=unroll, learned_lr="tensor")
        weights = network.weights._replace(meta=maml.meta_weights(network))
        compute = tf.function(maml.meta_gradients, autograph=False)
        results.append(compute(network, wiggled(weights), support, query))
    for one, other in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-11)


def test_anil_and_boil_leave_the_others_alone():
    network, (x, _) = Network(_mlp(), "mse"), _tasks()
    support = Examples(x["support_x"][0], x["support_y"][0])
    for algorithm, adapted in ((meta_tf.ANIL(), [2, 3]), (meta_tf.BOIL(), [0, 1])):
        after = algorithm.adapt(network, network.weights, support).model
        moved = [
            not np.array_equal(a, b) for a, b in zip(after, network.weights.model, strict=True)
        ]
        assert [i for i, m in enumerate(moved) if m] == adapted


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("unroll", [0, 10])
def test_reptile_returns_the_way_of_plain_training(batch, unroll):
    # SGD on y = x W by NumPy: the gradient of the mean of (x W - y)² over n·m numbers
    # is 2 xᵀ (x W - y) / (n m). Minibatches are taken in turn, around the end.
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2, use_bias=False)])
    start, steps = model.get_weights()[0], 4
    (x, y), w = _tasks(), model.get_weights()[0]
    support = Examples(x["support_x"][0], x["support_y"][0])
    for i in range(steps):
        chosen = [(i * (batch or 5) + j) % 5 for j in range(batch or 5)]
        xs, ys = support.x.numpy()[chosen], support.y.numpy()[chosen]
        w = w - LR * 2 * xs.T @ (xs @ w - ys) / ys.size
    reptile = meta_tf.Reptile(
        LR, inner_steps=steps, inner_batch=batch, optimizer="sgd", unroll=unroll
    )
    result = _outer(reptile, Network(model, "mse"), support, Examples(x["query_x"][0], y[0]))
    np.testing.assert_allclose(result.gradients[0], start - w, rtol=1e-11)
    residual = x["query_x"][0].numpy() @ w - y[0].numpy()
    np.testing.assert_allclose(result.loss, np.mean(residual**2), rtol=1e-11)


@pytest.mark.parametrize(
    "algorithm",
    [
        meta_tf.MAML(LR, 1),
        meta_tf.Reptile(LR, 1),
        meta_tf.MAMLPlusPlus(LR, 2),
        meta_tf.IMAML(LR, optimizer="adam"),
        meta_tf.MetaCurvature(LR),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_a_trajectory_is_adaptation_with_0_1_2_steps(algorithm):
    network, (x, _) = Network(_mlp(), "mse"), _tasks()
    support = Examples(x["support_x"][0], x["support_y"][0])
    weights = network.weights._replace(meta=algorithm.meta_weights(network))
    path = algorithm.trajectory(network, weights, support, lambda w: w.model, steps=3)
    for k in range(4):
        same = algorithm.adapt(network, weights, support, steps=k)
        for a, b in zip(path, same.model, strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"inner_lr": 0}, "inner_lr"),
        ({"inner_lr": float("nan")}, "inner_lr"),
        ({"inner_steps": -1}, "inner_steps"),
        ({"inner_steps": 1.5}, "inner_steps"),
        ({"eval_steps": -1}, "eval_steps"),
        ({"optimizer": "rmsprop"}, "optimizer"),
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": -1e-10}, "momentum"),
        ({"first_order": "no"}, "first_order"),
        ({"adapted": ()}, "adapted"),
        ({"adapted": 3}, "adapted"),
        ({"adapted": ("head", 1)}, "adapted"),
        ({"learned_lr": "layer"}, "learned_lr"),
    ],
)
def test_a_wrong_setting_is_named(settings, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        meta_tf.MAML(**settings)


def test_a_pattern_that_matches_nothing_is_named():
    with pytest.raises(ValueError, match=r"'hed'.*The model has: dense1/kernel"):
        meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.ANIL("hed"), "mse")
    with pytest.raises(ValueError, match="selects no weight"):
        meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(adapted=("head", "!*")), "mse")


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (meta_tf.ANIL, {"adapted": "dense1"}),
        (meta_tf.BOIL, {"adapted": "dense1"}),
        (meta_tf.FOMAML, {"first_order": False}),
        (meta_tf.MetaSGD, {"learned_lr": "tensor"}),
    ],
)
def test_what_a_name_settles_cannot_be_set(make, settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{make.__name__} sets `{name}` itself"):
        make(**settings)


def test_numbers_of_steps_may_be_numpys():
    def fitted(number):
        keras.utils.set_random_seed(1)
        learner = meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(0.1, number(2)), "mse")
        x = np.linspace(-1, 1, 5)[:, None]
        return [learner.adapt(x, x**2, steps)(x).numpy() for steps in (None, number(3))]

    np.testing.assert_array_equal(fitted(np.int64), fitted(int))
