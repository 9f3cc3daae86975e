"""The fused kernels against the formula written out in float64, to the third derivative."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network.fused_batch_norm import can_be_fused, fused_batch_norm
from meta_tf.network.network import Network
from meta_tf.types import Examples
from tests.marks import slow

SHAPE, EPSILON = [3, 5, 4, 6], 1e-3


def _written_out(x, gamma, beta, epsilon):
    mean = tf.reduce_mean(x, [0, 1, 2])
    variance = tf.reduce_mean(tf.square(x - mean), [0, 1, 2])
    return (x - mean) * tf.math.rsqrt(variance + epsilon) * gamma + beta, mean, variance


def _derivatives(function, dtype):
    """Values of the first three derivatives in some direction of a function of all outputs."""
    rng = np.random.default_rng(0)

    def draw(shape):
        return tf.constant(rng.normal(size=shape), dtype)

    inputs = [draw(SHAPE), draw([6]), draw([6])]
    weights = [draw(SHAPE), draw([6]), draw([6])]
    directions = [[draw(SHAPE), draw([6]), draw([6])] for _ in range(2)]

    def value():
        y, mean, variance = function(*inputs, tf.constant(EPSILON, dtype))
        parts = (tf.tanh(y), mean, tf.square(variance))
        return tf.add_n([tf.reduce_sum(w * p) for w, p in zip(weights, parts, strict=True)])

    def along(direction, gradients):
        return tf.add_n([tf.reduce_sum(d * g) for d, g in zip(direction, gradients, strict=True)])

    with tf.GradientTape() as third:
        third.watch(inputs)
        with tf.GradientTape() as second:
            second.watch(inputs)
            with tf.GradientTape() as first:
                first.watch(inputs)
                result = value()
            slopes = first.gradient(result, inputs)
            result = along(directions[0], slopes)
        curvatures = second.gradient(result, inputs)
        result = along(directions[1], curvatures)
    return slopes, curvatures, third.gradient(result, inputs)


def _fused(x, gamma, beta):
    y, statistics = fused_batch_norm(x, gamma, beta, EPSILON)
    return y, *statistics()


@pytest.mark.parametrize("graph", [False, True])
def test_three_derivatives_are_those_of_the_formula(graph):
    expected = _derivatives(_written_out, tf.float64)

    def run():
        return _derivatives(lambda x, g, b, _: _fused(x, g, b), tf.float32)

    given = tf.function(run, autograph=False)() if graph else run()
    for one, other in zip(tf.nest.flatten(given), tf.nest.flatten(expected), strict=True):
        scale = np.max(np.abs(other))
        np.testing.assert_allclose(one.numpy() / scale, other / scale, atol=2e-6)


def test_a_single_value_a_channel_has_no_variance():
    y, mean, variance = _fused(2 * tf.ones([1, 1, 1, 3]), tf.ones(3), tf.ones(3))
    np.testing.assert_array_equal(y, np.ones([1, 1, 1, 3]))
    np.testing.assert_array_equal(mean, [2, 2, 2])
    np.testing.assert_array_equal(variance, [0, 0, 0])


@pytest.mark.parametrize(
    ("shape", "dtype", "fused"),
    [([2, 3, 3, 4], "float32", True), ([2, 3, 3, 4], "float64", False), ([2, 4], "float32", False)],
)
def test_only_images_in_float32_are_fused(shape, dtype, fused):
    assert can_be_fused(tf.zeros(shape, dtype)) == fused


@pytest.mark.parametrize("steps", [slow(2), 9])  # written out, and in the loop that recomputes
def test_a_meta_gradient_is_that_of_float64(steps):
    def meta_gradient(dtype):
        model = keras.Sequential(
            [
                keras.Input([6, 6, 1], dtype=dtype),
                keras.layers.Conv2D(3, 3, use_bias=False, dtype=dtype),
                keras.layers.BatchNormalization(dtype=dtype),
                keras.layers.Activation("tanh", dtype=dtype),
                keras.layers.GlobalAveragePooling2D(dtype=dtype),
                keras.layers.Dense(2, dtype=dtype),
            ]
        )
        rng = np.random.default_rng(1)
        for v in model.trainable_variables:
            v.assign(rng.normal(size=v.shape))

        def examples():
            return Examples(
                tf.constant(rng.normal(size=[4, 6, 6, 1]), dtype),
                tf.constant(rng.normal(size=[4, 2]), dtype),
            )

        network = Network(model, "mse")
        maml, sets = meta_tf.MAML(0.05, steps), (examples(), examples())
        run = tf.function(
            lambda: maml.meta_gradients(network, network.weights, *sets).gradients, autograph=False
        )
        return run()

    for one, other in zip(meta_gradient("float32"), meta_gradient("float64"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * np.max(np.abs(other)))
