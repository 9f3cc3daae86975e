"""`leave_one_out`: beside actually leaving each example out, and beside a closed form."""

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf import leave_one_out

CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
X = np.random.default_rng(0).normal(size=[7, 6]).astype("float32")
Y = np.array([0, 1, 2, 0, 1, 2, 0])


def make_learner(algorithm, batch_norm="running"):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input([6]), *layers])
    return meta_tf.MetaLearner(model, algorithm, CE, batch_norm)


@pytest.mark.parametrize(
    ("algorithm", "batch_norm"),
    [
        (meta_tf.R2D2(ways=3), "running"),
        (meta_tf.ProtoNet(ways=3), "transductive"),
        (meta_tf.MAML(0.1, inner_steps=2), "support"),
    ],
)
def test_each_example_is_predicted_from_the_others(algorithm, batch_norm):
    learner = make_learner(algorithm, batch_norm)
    expected = []
    for i in range(len(X)):
        x, y = np.delete(X, i, 0), np.delete(Y, i)
        expected.append(learner.adapt(x, y).predict_one_by_one(X[i : i + 1], batch_with=x)[0])
    found = leave_one_out(learner, X, Y)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    some = leave_one_out(learner, X, Y, which=[5, 2])
    np.testing.assert_allclose(some, found[[5, 2]], rtol=1e-4, atol=1e-5)


def test_ridge_regression_has_a_closed_form():
    # With K = X Xᵀ + λ I and A = K⁻¹ Y, the fit without example i predicts y_i - A_i / (K⁻¹)_ii.
    learner = make_learner(meta_tf.R2D2(ways=3, regularization=0.5, scale=3.0))
    for variable in learner._meta.values():  # as after training
        variable.assign_add(0.2)
    x = learner.model(X).numpy().astype("float64")
    lam = 0.5 * np.exp(0.2)
    inverse = np.linalg.inv(x @ x.T + lam * np.eye(7))
    targets = np.eye(3)[Y]
    fitted = targets - inverse @ targets / np.diag(inverse)[:, np.newaxis]
    np.testing.assert_allclose(leave_one_out(learner, X, Y), 3.2 * fitted + 0.2, rtol=1e-4)


def test_the_only_example_of_the_last_class_leaves_the_number_of_outputs():
    learner = make_learner(meta_tf.ProtoNet(ways=3))
    found = leave_one_out(learner, X[:4], [0, 1, 2, 0])
    assert found.shape == (4, 3)
    assert found[2].argmax() != 2


def test_one_example_cannot_be_left_out():
    with pytest.raises(ValueError, match="at least two examples"):
        leave_one_out(make_learner(meta_tf.ProtoNet(ways=3)), X[:1], [0])
