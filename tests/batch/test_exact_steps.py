"""`fit`, `evaluate` and `predict` take as many batches as they are asked for."""

import itertools
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from tests.learners import make_learner

PER_CALL = 4
TASKS = meta_tf.tasks.Sinusoid(shots=2)
BATCHES = [*itertools.islice(TASKS.valid.batches(3), 8)]
ARRAYS = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *BATCHES)


@pytest.fixture(scope="module")
def learner():
    return make_learner(
        meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), "mse", steps_per_execution=PER_CALL
    )


def mean_loss(learner, batches):
    """By `evaluate` of each batch alone."""
    return np.mean([learner.test_on_batch(*batch) for batch in batches])


def number_of_tasks(learner):
    """How many tasks the last loss is the mean of."""
    return int(next(metric for metric in learner.metrics if metric.name == "loss").count)


def dataset():
    return tf.data.Dataset.from_tensor_slices(ARRAYS).batch(3, drop_remainder=True).repeat()


def generator():
    yield from BATCHES


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        return BATCHES[index]


# The same batches as arguments of `evaluate`.
DATA = {
    "dataset": lambda: (dataset(),),
    "arrays": lambda: (*ARRAYS, 3),
    "generator": lambda: (generator(),),
    "sequence": lambda: (Sequence(),),
}


@pytest.mark.parametrize(
    ("kind", "steps"), [("dataset", 1), ("dataset", 4), *((kind, 6) for kind in DATA)]
)
def test_evaluate_takes_the_batches_it_is_asked_for(learner, kind, steps):
    found = learner.evaluate(*DATA[kind](), steps=steps, verbose=0)
    assert number_of_tasks(learner) == 3 * steps
    np.testing.assert_allclose(found, mean_loss(learner, BATCHES[:steps]), rtol=1e-6)


def test_predict_takes_the_batches_it_is_asked_for(learner):
    x = ARRAYS[0]
    found = learner.predict(x, batch_size=3, steps=1, verbose=0)
    np.testing.assert_allclose(found, learner.predict_on_batch(BATCHES[0][0]), rtol=1e-6)
    assert learner.predict(dataset(), steps=6, verbose=0).shape == (18, 2, 1)


def test_positional_arguments_count_like_keywords(learner):
    data, before = dataset(), int(learner.optimizer.iterations)
    learner.evaluate(data, None, None, 0, None, 3)
    assert number_of_tasks(learner) == 9
    assert learner.predict(data, None, 0, 1).shape == (3, 2, 1)
    with pytest.raises(ValueError, match="steps_per_epoch=6 and steps_per_execution=4"):
        learner.fit(data, None, None, 1, 0, None, 0.0, data, False, None, None, 0, 6)
    assert int(learner.optimizer.iterations) == before


def test_arrays_split_into_the_number_of_batches(learner):
    found = learner.evaluate(*ARRAYS, steps=1, verbose=0)  # Keras makes one batch of all tasks
    np.testing.assert_allclose(found, mean_loss(learner, BATCHES), rtol=1e-6)


@pytest.mark.parametrize("kind", ["dataset", "generator"])
def test_every_validation_of_fit_takes_its_number_of_batches(learner, kind):
    data = (batch for batch in itertools.cycle(BATCHES)) if kind == "generator" else dataset()
    counts = []
    counted = keras.callbacks.LambdaCallback()
    counted.on_test_end = lambda logs: counts.append(number_of_tasks(learner))
    losses = learner.fit(
        dataset(),
        steps_per_epoch=4,
        epochs=2,
        validation_data=data,
        validation_steps=6,
        callbacks=[counted],
        verbose=0,
    ).history["val_loss"]
    assert counts == [18, 18]
    if kind == "dataset":  # a generator goes on, behind what TensorFlow has fetched
        np.testing.assert_allclose(losses[-1], mean_loss(learner, BATCHES[:6]), rtol=1e-6)


@pytest.mark.parametrize("inner", [2, 4])
def test_a_callback_can_evaluate_during_an_evaluation(learner, inner):
    class Evaluate(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            learner.evaluate(dataset(), steps=inner, verbose=0)
            assert number_of_tasks(learner) == 3 * inner

    learner.evaluate(dataset(), steps=1, callbacks=[Evaluate()], verbose=0)
    assert number_of_tasks(learner) == 3


def test_an_interrupted_evaluation_leaves_the_learner_as_it_was(learner):
    class Stop(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.evaluate(dataset(), steps=1, callbacks=[Stop()], verbose=0)
    learner.evaluate(dataset(), steps=4, verbose=0)
    assert number_of_tasks(learner) == 12


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("there", [2, PER_CALL])
def test_data_that_ends_earlier_is_used_up_with_a_warning(learner, there, known):
    data = dataset().take(there)
    if not known:
        data = data.take_while(lambda *_: True)
    with pytest.warns(UserWarning, match="ran out of data") if there == PER_CALL else nullcontext():
        found = learner.evaluate(data, steps=there + 1, verbose=0)
    np.testing.assert_allclose(found, mean_loss(learner, BATCHES[:there]), rtol=1e-6)


WRONG = {
    "an epoch": (
        lambda learner: learner.fit(dataset(), steps_per_epoch=6, verbose=0),
        "`steps_per_epoch` must be a multiple of `steps_per_execution`.*steps_per_epoch=6 and "
        "steps_per_execution=4",
    ),
    "no number": (
        lambda learner: learner.evaluate(dataset(), steps="3", verbose=0),
        "`steps` must be an integer of at least 1",
    ),
    "none": (
        lambda learner: learner.predict(ARRAYS[0], steps=0, verbose=0),
        r"`steps` must be an integer of at least 1 \(or None\). Received: 0",
    ),
    "empty batches": (
        lambda learner: learner.evaluate(*ARRAYS, 0, verbose=0),
        r"`batch_size` must be an integer of at least 1 \(or None\). Received: 0",
    ),
    "no epoch": (
        lambda learner: learner.fit(*ARRAYS, steps_per_epoch=0, verbose=0),
        "`steps_per_epoch` must be an integer of at least 1",
    ),
    "no validation": (
        lambda learner: learner.fit(*ARRAYS, validation_data=ARRAYS, validation_steps=0, verbose=0),
        "`validation_steps` must be an integer of at least 1",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_numbers_that_keras_would_replace_are_errors(learner, name):
    before = int(learner.optimizer.iterations)
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call(learner)
    assert int(learner.optimizer.iterations) == before


def test_an_adapted_model_takes_the_batches_it_is_asked_for(learner):
    (x, y), size = BATCHES[0], 2
    fitted = learner.adapt(x["support_x"][0], x["support_y"][0])
    fitted.compile(loss="mse", steps_per_execution=PER_CALL)
    x, y = ARRAYS[0]["query_x"][:, 0], ARRAYS[1][:, 0]
    examples = tf.data.Dataset.from_tensor_slices((x, y)).batch(size)
    expected = fitted(x[: 3 * size]).numpy()
    found = fitted.predict(examples, None, 0, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = fitted.evaluate(examples, steps=3, verbose=0)
    np.testing.assert_allclose(found, np.mean((y[: 3 * size] - expected) ** 2), rtol=1e-6)
    for call in (fitted.predict, fitted.evaluate):
        for name in ("steps", "batch_size"):
            with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1"):
                call(x, **{name: 0})


def test_keras_itself_rounds_up():
    """If this fails, Keras has mended it, and `meta_tf.batch.exact_steps` can go."""
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=PER_CALL)
    one = tf.ones([1, 1])
    model.fit(
        tf.data.Dataset.from_tensors((one, one)).repeat(), steps_per_epoch=PER_CALL - 1, verbose=0
    )
    assert int(model.optimizer.iterations) == PER_CALL
