"""Meta-Curvature: identities are MAML, matrices act on their axes, and nothing else."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network.network import Network
from meta_tf.types import Examples

LR = 0.1


@pytest.fixture(autouse=True)
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def _problem(layers, shape):
    network = Network(keras.Sequential([keras.Input(shape), *layers]), "mse")
    rng = np.random.default_rng(0)
    outputs = network.model.output_shape[1:]

    def examples():
        return Examples(*(tf.constant(rng.normal(size=[4, *s])) for s in (shape, outputs)))

    return network, (examples(), examples())


def _weights(network, algorithm, random=False):
    meta = algorithm.meta_weights(network)
    if random:
        rng = np.random.default_rng(1)
        meta = {n: m + 0.3 * rng.normal(size=m.shape) for n, m in meta.items()}
    return network.weights._replace(meta=meta)


def _conv():
    return _problem([keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten()], [4, 4, 3])


def test_identities_are_maml():
    network, (support, query) = _conv()
    given = meta_tf.MetaCurvature(LR, inner_steps=3)
    maml = meta_tf.MAML(LR, inner_steps=3)
    ours = given.meta_gradients(network, _weights(network, given), support, query)
    theirs = maml.meta_gradients(network, network.weights, support, query)
    for a, b in zip(ours.gradients, theirs.gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["conv", "conv1d", "dense"])
def test_a_step_is_the_gradient_times_the_matrices(kind):
    layers = keras.layers
    network, (support, _) = {
        "conv": _conv,
        "conv1d": lambda: _problem([layers.Conv1D(2, 2, name="conv1d"), layers.Flatten()], [4, 3]),
        "dense": lambda: _problem([layers.Dense(2, name="dense")], [3]),
    }[kind]()
    algorithm = meta_tf.MetaCurvature(LR)
    weights = _weights(network, algorithm, random=True)
    adapted = algorithm.adapt(network, weights, support)
    with tf.GradientTape() as tape:
        tape.watch(weights.model)
        loss = network.mean_loss(support.y, network(weights, support.x))
    kernel, bias = (g.numpy() for g in tape.gradient(loss, weights.model))
    # With the axes of the kernel written as one, the matrix over it is a Kronecker product.
    m = {n.split("/")[0].removeprefix("curvature_"): v.numpy() for n, v in weights.meta.items()
         if "kernel" in n}  # fmt: skip
    of_bias = next(v for n, v in weights.meta.items() if "bias" in n).numpy()
    whole = np.kron(np.kron(m.get("positions", np.eye(1)), m["inputs"]), m["outputs"])
    bent = (kernel.ravel() @ whole).reshape(kernel.shape)
    np.testing.assert_allclose(adapted.model[0], weights.model[0] - LR * bent, rtol=1e-9)
    np.testing.assert_allclose(adapted.model[1], weights.model[1] - LR * bias @ of_bias, rtol=1e-9)


def test_a_diagonal_over_a_bias_is_meta_sgd():
    network, (support, query) = _problem([keras.layers.Dense(3, name="dense")], [2])
    curved = meta_tf.MetaCurvature(LR, adapted="bias")
    meta_sgd = meta_tf.MetaSGD(inner_lr=LR, adapted="bias")
    rates = np.array([0.3, -0.1, 0.2])
    ours = network.weights._replace(
        meta={n: tf.constant(np.diag(rates) / LR) for n in curved.meta_weights(network)}
    )
    theirs = network.weights._replace(
        meta={n: tf.constant(rates) for n in meta_sgd.meta_weights(network)}
    )
    a = curved.meta_gradients(network, ours, support, query)
    b = meta_sgd.meta_gradients(network, theirs, support, query)
    for one, other in zip(a.gradients, b.gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    (matrix,), (vector,) = a.meta_gradients.values(), b.meta_gradients.values()
    np.testing.assert_allclose(np.diag(matrix) / LR, vector, rtol=1e-10)


def test_in_first_order_the_matrices_learn_all_the_same():
    """w_1 = w - α (g M): with g a constant, dL_Q/dM = -α g ⊗ dL_Q/dw_1, and dL_Q/dw = dL_Q/dw_1."""
    network, (support, query) = _problem([keras.layers.Dense(2, use_bias=False)], [3])
    algorithm = meta_tf.MetaCurvature(LR, first_order=True)
    weights = _weights(network, algorithm, random=True)
    adapted = algorithm.adapt(network, weights, support)
    (w,), (w_1,) = (tuple(np.asarray(one) for one in each.model) for each in (weights, adapted))

    def slope(w, examples):
        x, y = (t.numpy() for t in examples)
        return x.T @ (x @ w - y) * 2 / y.size

    g, d = slope(w, support), slope(w_1, query)
    outputs, inputs = (m.numpy() for m in weights.meta.values())  # MC(G) = inputsᵀ G outputs
    np.testing.assert_allclose(w_1, w - LR * inputs.T @ g @ outputs, rtol=1e-12)
    result = algorithm.meta_gradients(network, weights, support, query)
    of_outputs, of_inputs = result.meta_gradients.values()
    np.testing.assert_allclose(result.gradients[0], d, rtol=1e-10)
    np.testing.assert_allclose(of_outputs, -LR * (inputs.T @ g).T @ d, rtol=1e-10)
    np.testing.assert_allclose(of_inputs, -LR * (g @ outputs) @ d.T, rtol=1e-10)


def test_the_matrices_are_learned_by_the_outer_optimiser():
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1, 1, (4,)), meta_tf.MetaCurvature(LR), "mse")
    learner.compile("adam", jit_compile=False)
    before = [v.numpy() for v in learner.trainable_variables]
    x, y = np.random.default_rng(0).normal(size=[2, 3, 4, 1])
    learner.train_on_batch({"support_x": x, "support_y": y, "query_x": x}, y)
    moved = [
        not np.allclose(b, v) for b, v in zip(before, learner.trainable_variables, strict=True)
    ]
    # kernel, bias, kernel, bias; then outputs and inputs, outputs, outputs and inputs, outputs
    assert len(moved) == 4 + 6
    assert all(moved[4:])
