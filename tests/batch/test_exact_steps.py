"""`fit`, `evaluate` and `predict` take as many batches as they are asked for."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from tests.learners import make_learner

PER_CALL = 4
TASKS = meta_tf.tasks.Sinusoid(shots=2)


@pytest.fixture(scope="module")
def learner():
    return make_learner(
        meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), "mse", steps_per_execution=PER_CALL
    )


def mean_loss(learner, batches):
    """By `evaluate` of each batch alone."""
    return np.mean([learner.test_on_batch(*batch) for batch in batches])


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_evaluate_takes_the_batches_it_is_asked_for(learner, steps):
    endless = TASKS.valid.batches(3)
    found = learner.evaluate(endless, steps=steps, verbose=0)
    first = [*itertools.islice(endless, steps)]
    np.testing.assert_allclose(found, mean_loss(learner, first), rtol=1e-6)
    loss = next(metric for metric in learner.metrics if metric.name == "loss")
    learner.evaluate(endless, steps=steps, verbose=0)
    assert int(loss.count) == 3 * steps


def test_predict_takes_the_batches_it_is_asked_for(learner):
    endless = TASKS.valid.batches(3)
    assert learner.predict(endless, steps=3, verbose=0).shape == (9, 2, 1)
    x, _ = next(iter(endless))
    np.testing.assert_array_equal(
        learner.predict(endless, steps=1, verbose=0), learner.predict_on_batch(x)
    )


def test_positional_arguments_count_like_keywords(learner):
    data, before = TASKS.valid.batches(3), int(learner.optimizer.iterations)
    learner.evaluate(data, None, None, 0, None, 3)
    loss = next(metric for metric in learner.metrics if metric.name == "loss")
    assert int(loss.count) == 9
    assert learner.predict(data, None, 0, 1).shape == (3, 2, 1)
    with pytest.raises(ValueError, match="steps_per_epoch=6 and steps_per_execution=4"):
        learner.fit(data, None, None, 1, 0, None, 0.0, data, False, None, None, 0, 6)
    assert int(learner.optimizer.iterations) == before


def test_every_validation_of_fit_takes_the_same_batches(learner):
    endless = TASKS.valid.batches(3)
    history = learner.fit(
        TASKS.train.batches(3),
        steps_per_epoch=8,
        epochs=2,
        validation_data=endless,
        validation_steps=3,
        verbose=0,
    )
    expected = mean_loss(learner, itertools.islice(endless, 3))
    np.testing.assert_allclose(history.history["val_loss"][-1], expected, rtol=1e-6)


def test_data_that_ends_earlier_is_used_up(learner):
    two = TASKS.valid.batches(3).take(2)
    found = learner.evaluate(two, steps=3, verbose=0)
    np.testing.assert_allclose(found, mean_loss(learner, two), rtol=1e-6)


def generator():
    yield from TASKS.valid.batches(3)


WRONG = {
    "an epoch": (
        lambda learner: learner.fit(TASKS.train.batches(3), steps_per_epoch=6, verbose=0),
        "`steps_per_epoch` must be a multiple of `steps_per_execution`.*steps_per_epoch=6 and "
        "steps_per_execution=4",
    ),
    "no dataset": (
        lambda learner: learner.evaluate(generator(), steps=3, verbose=0),
        "`steps` must be a multiple of `steps_per_execution`.*steps=3.*tf.data.Dataset",
    ),
    "no number": (
        lambda learner: learner.evaluate(TASKS.valid.batches(3), steps="3", verbose=0),
        "`steps` must be an integer",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_keras_would_round_up_is_an_error(learner, name):
    before = int(learner.optimizer.iterations)
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call(learner)
    assert int(learner.optimizer.iterations) == before


def test_keras_itself_rounds_up():
    """If this fails, Keras has mended it, and `meta_tf.batch.exact_steps` can go."""
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=PER_CALL)
    one = tf.ones([1, 1])
    model.fit(
        tf.data.Dataset.from_tensors((one, one)).repeat(), steps_per_epoch=PER_CALL - 1, verbose=0
    )
    assert int(model.optimizer.iterations) == PER_CALL
