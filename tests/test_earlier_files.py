"""Files that were saved before the package had rooms, of each kind, still load and answer the same.

`tests/files` holds them with what they predicted when they were saved, for tasks that are made
again here. (Saved by 0.1.0, whose modules had other names; registered names never change.)
"""

from pathlib import Path

import keras
import numpy as np
import pytest

import meta_tf

FILES = Path(__file__).resolve().parent / "files"


def _sinusoids():
    return meta_tf.tasks.Sinusoid(shots=4, queries=3).test


def _images():
    images = np.random.default_rng(0).normal(size=[60, 14, 14, 1])
    return meta_tf.tasks.from_arrays(
        images, np.arange(60) % 10, ways=2, shots=2, queries=2, split=(0.4, 0.3, 0.3)
    ).test


@pytest.fixture(scope="module")
def predicted():
    return np.load(FILES / "predictions.npz")


def test_a_learner_with_meta_sgd(predicted):
    learner = keras.models.load_model(FILES / "meta_sgd.keras")
    x, _ = next(iter(_sinusoids().batches(3, seed=0)))
    np.testing.assert_array_equal(learner.predict_on_batch(x), predicted["meta_sgd"])
    assert learner.algorithm == meta_tf.MetaSGD(inner_lr=0.05, inner_steps=2)
    assert int(learner.optimizer.iterations) == int(predicted["meta_sgd_iterations"]) > 0


def test_a_learner_in_context(predicted):
    """Of a version that had no `answer`; its weights are found by their order."""
    learner = keras.models.load_model(FILES / "in_context.keras")
    x, _ = next(iter(_sinusoids().batches(3, seed=0)))
    # Another processor adds up float32 in another order; weights in a wrong place are far off.
    atol = 1e-5 * np.abs(predicted["in_context"]).max()
    np.testing.assert_allclose(
        learner.predict_on_batch(x), predicted["in_context"], rtol=0, atol=atol
    )
    assert learner.algorithm == meta_tf.InContext(width=4, blocks=2, heads=2)


def test_an_adapted_model(predicted):
    model = keras.models.load_model(FILES / "adapted_model.keras")
    x, _ = next(iter(_sinusoids().batches(3, seed=0)))
    np.testing.assert_array_equal(model(x["query_x"][0]), predicted["adapted_model"])


@pytest.mark.slow
def test_a_learner_with_mamlpp_that_trains_on(predicted):
    learner = keras.models.load_model(FILES / "mamlpp.keras")
    x, y = next(iter(_images().batches(2, seed=0)))
    # Of the largest: another processor adds up a convolution's float32 in another order.
    atol = 1e-5 * np.abs(predicted["mamlpp"]).max()
    np.testing.assert_allclose(learner.predict_on_batch(x), predicted["mamlpp"], rtol=0, atol=atol)
    assert learner.network.batch_norm == "support"
    before = [v.numpy() for v in learner.trainable_variables]
    assert np.isfinite(learner.train_on_batch(x, y)[0])
    assert any(
        np.any(v.numpy() != b) for v, b in zip(learner.trainable_variables, before, strict=True)
    )
