"""iMAML: its implicit gradient against the closed form, and against the converged inner loop."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.algorithms.conjugate_gradient import conjugate_gradient
from meta_tf.network.network import Network
from meta_tf.testing.finite_differences import meta_gradient_error
from meta_tf.types import Examples
from tests.learners import wiggled

LAMBDA = 1.5


@pytest.fixture(autouse=True)
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def _examples(seed, features=3):
    rng = np.random.default_rng(seed)
    return Examples(
        tf.constant(rng.normal(size=[5, features])), tf.constant(rng.normal(size=[5, 1]))
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_conjugate_gradients_solve_and_stay_solved(steps):
    rng = np.random.default_rng(0)
    root = rng.normal(size=[3, 3])
    a, b = root @ root.T + np.eye(3), rng.normal(size=3)
    x = conjugate_gradient(
        lambda v: [tf.linalg.matvec(a[:2, :2], v[0]) + a[:2, 2] * v[1],
                   tf.tensordot(a[2, :2], v[0], 1) + a[2, 2] * v[1]],
        [tf.constant(b[:2]), tf.constant(b[2])],
        steps,
    )  # fmt: skip
    # After n steps, the best point of span(b, A b, …, Aⁿ⁻¹ b) in the norm of A; all of it for 3.
    span = np.stack([np.linalg.matrix_power(a, k) @ b for k in range(min(steps, 3))], 1)
    best = span @ np.linalg.solve(span.T @ a @ span, span.T @ b)
    np.testing.assert_allclose(np.append(x[0], x[1]), best, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("b", [0.0, 3.0])
def test_conjugate_gradients_go_on_at_a_residual_of_zero(b):
    # 2 x = b is solved exactly by one step, and by none for b = 0; 0/0 must not follow.
    (x,) = conjugate_gradient(lambda v: [2 * v[0]], [tf.constant([b], tf.float64)], 4)
    np.testing.assert_array_equal(x, [b / 2])


def test_the_meta_gradient_of_a_linear_model_is_the_closed_form():
    """For L = |X φ - y|² / n: H = 2 XᵀX / n, and φ* solves (H + λ I) φ = 2 Xᵀy / n + λ w."""
    network = Network(
        keras.Sequential([keras.Input([3]), keras.layers.Dense(1, use_bias=False)]), "mse"
    )
    w = np.random.default_rng(1).normal(size=[3, 1])
    weights = network.weights._replace(model=[tf.constant(w)])
    support, query = _examples(2), _examples(3)
    sx, sy, qx, qy = (t.numpy() for t in (*support, *query))
    h = 2 * sx.T @ sx / 5
    phi = np.linalg.solve(h + LAMBDA * np.eye(3), 2 * sx.T @ sy / 5 + LAMBDA * w)
    slope = 2 * qx.T @ (qx @ phi - qy) / 5
    expected = np.linalg.solve(np.eye(3) + h / LAMBDA, slope)

    def in_a_graph(function):  # 400 steps one by one take seconds
        return tf.function(lambda: function(network, weights, support, training=True))()

    algorithm = meta_tf.IMAML(0.1, inner_steps=400, regularization=LAMBDA, cg_steps=3)
    adapted = in_a_graph(algorithm.adapt)
    np.testing.assert_allclose(adapted.model[0], phi, rtol=1e-9)

    @tf.function
    def gradient(algorithm):
        return algorithm.meta_gradients(network, weights, support, query).gradients[0]

    np.testing.assert_allclose(gradient(algorithm), expected, rtol=1e-7)
    # At a point that is not the minimum the solve is the same, with the gradient from there.
    early = meta_tf.IMAML(0.1, inner_steps=0, regularization=LAMBDA, cg_steps=3)
    result = early.meta_gradients(network, weights, support, query, scale=8.0)
    slope = 8 * 2 * qx.T @ (qx @ w - qy) / 5
    expected = np.linalg.solve(np.eye(3) + h / LAMBDA, slope)
    np.testing.assert_allclose(result.gradients[0], expected, rtol=1e-7)
    # Damping stands beside λ in the solve, and there alone.
    damped = dataclasses.replace(algorithm, damping=5.0)
    np.testing.assert_array_equal(in_a_graph(damped.adapt).model[0], adapted.model[0])
    slope = 2 * qx.T @ (qx @ phi - qy) / 5
    expected = np.linalg.solve(np.eye(3) + h / (LAMBDA + 5.0), slope)
    np.testing.assert_allclose(gradient(damped), expected, rtol=1e-7)


def test_damping_is_more_of_lambda_for_weights_that_do_not_adapt_as_well():
    """Without inner steps λ has no other part than that in the meta-gradient."""
    network = Network(
        keras.Sequential(
            [keras.Input([3]), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1, name="head")]
        ),
        "mse",
    )
    weights = network.weights

    def gradients(regularization, damping):
        algorithm = meta_tf.IMAML(
            0.1, 0, regularization=regularization, damping=damping, adapted="head"
        )
        return algorithm.meta_gradients(network, weights, _examples(2), _examples(3)).gradients

    for a, b in zip(gradients(4.0, 0.0), gradients(2.5, 1.5), strict=True):
        np.testing.assert_array_equal(a, b)
    # Damping without end leaves first order: the query loss's own gradient.
    with tf.GradientTape() as tape:
        tape.watch(weights.model)
        loss, _, _ = network.query_loss(weights, _examples(3), training=True)
    for a, b in zip(gradients(2.0, 1e12), tape.gradient(loss, weights.model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("adapted", "norm", "batch_norm"),
    [
        (None, keras.layers.LayerNormalization, "transductive"),
        ("head", keras.layers.LayerNormalization, "transductive"),
        ("!norm", keras.layers.LayerNormalization, "transductive"),
        ("!norm", keras.layers.BatchNormalization, "transductive"),
        ("!norm", keras.layers.BatchNormalization, "support"),
    ],
)
@pytest.mark.exhaustive
def test_the_meta_gradient_is_the_slope_of_the_converged_inner_loop(adapted, norm, batch_norm):
    """Also for weights that do not adapt, on which the minimum depends."""
    network = Network(
        keras.Sequential(
            [
                keras.Input([3]),
                keras.layers.Dense(3, "tanh", name="body"),
                norm(name="norm"),
                keras.layers.Dense(1, name="head"),
            ]
        ),
        "mse",
        batch_norm,
    )
    algorithm = meta_tf.IMAML(
        0.1, inner_steps=600, regularization=4.0, cg_steps=25, adapted=adapted, unroll=0
    )
    weights = wiggled(network.weights, 0.2)
    assert meta_gradient_error(algorithm, network, weights, _examples(2), _examples(3)) < 1e-7


def test_momentum_and_adam_come_to_the_same_minimum():
    network = Network(keras.Sequential([keras.Input([3]), keras.layers.Dense(1)]), "mse")

    def end_of(name, lr):
        algorithm = meta_tf.IMAML(lr, inner_steps=900, optimizer=name)
        return tf.function(lambda: algorithm.adapt(network, network.weights, _examples(2)))()

    ends = [end_of("sgd", 0.1), end_of("momentum", 0.02), end_of("adam", 0.01)]
    for end in ends[1:]:
        for a, b in zip(end.model, ends[0].model, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"regularization": 0}, "`regularization`"),
        ({"cg_steps": 0}, "`cg_steps`"),
        ({"damping": -1.0}, "`damping`"),
        ({"inner_lr": -1.0}, "`inner_lr`"),
        ({"optimizer": "lion"}, "`optimizer`"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        meta_tf.IMAML(**settings)
