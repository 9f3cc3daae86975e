"""What every algorithm must do with every model: the properties, for the rows of conformance.py."""

import functools
import importlib.util
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_tf.testing import properties
from tests.conformance import (
    CASES,
    COMPILED,
    DECLARED,
    EVERYDAY,
    OWN_CODE,
    STATEFUL,
    THOROUGH,
    lstm,
    named,
    two_devices,
)

EXACT = {"rtol": 1e-9, "atol": 1e-11}


def rows(cases, everyday=(), slow=()):
    """Every day some rows, some among the slow tests, and all the others before a release."""
    marks = [
        () if c in everyday else pytest.mark.slow if c in slow else pytest.mark.exhaustive
        for c in cases
    ]
    marked = [pytest.param(c, marks=mark) for c, mark in zip(cases, marks, strict=True)]
    return pytest.mark.parametrize("case", marked, ids=lambda case: case.name)


every_case = rows(CASES, EVERYDAY, OWN_CODE)


@pytest.fixture(autouse=True)
def double_precision(fresh_keras):
    """So that equal to rounding is far from equal by chance."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def _numbers(learner):
    return [v.numpy() for v in (*learner.trainable_variables, *learner.non_trainable_variables)]


def _assert_close(ours, theirs, **tolerance):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@every_case
def test_a_task_adapts_the_same_alone_and_in_a_batch_and_in_any_order(case):
    properties.adapts_the_same_alone_and_in_a_batch(case.trial)


@rows(DECLARED, EVERYDAY, THOROUGH)
def test_statistics_are_those_of_the_declared_mode(case):
    properties.needs_no_stored_statistics(case.trial)
    properties.predicts_each_query_alone(case.trial)


@every_case
def test_no_steps_leave_the_plain_model(case):
    if not case.starts_plain:
        pytest.skip("starts from the support set or from rows of its own; see its own test")
    # With batch norm in the mode `transductive` that is the model as in training, which takes
    # the batch's statistics; in `support`, the statistics of the support set.
    learner, (x, _) = case.learner(), case.batch()
    fitted = learner.adapt(x["support_x"][0], x["support_y"][0], steps=0)
    query, model = x["query_x"][0], learner.model
    if case.batch_norm == "support":
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0  # keeps the last batch's statistics alone
        given = fitted(query)
        model(x["support_x"][0], training=True)
        expected = model(query, training=False)
    else:
        given = fitted(query)
        batch_norm = any(isinstance(la, keras.layers.BatchNormalization) for la in model.layers)
        expected = model(query, training=batch_norm and case.batch_norm == "transductive")
    np.testing.assert_allclose(given, expected, **EXACT)


@every_case
def test_the_meta_gradient_is_that_of_finite_differences(case):
    properties.has_exact_meta_gradients(case.trial)


@rows(THOROUGH, slow=named("meta-sgd", "maml++, statistics"))
def test_eager_graph_and_xla_agree(case):
    properties.agrees_eagerly_in_a_graph_and_in_xla(case.trial)


# Dropout and statistics: tests/batch/test_replicas.py.
@rows(STATEFUL, slow=named("meta-sgd"))
def test_two_replicas_train_like_one_device(case):
    # Four tasks on two devices, then three: one device has two of them, the other one.
    dataset = case.batches(tasks=7).take(1).unbatch().batch(4)
    results = []
    for scope in (tf.distribute.get_strategy().scope, two_devices().scope):
        with scope():
            learner = case.learner()
            learner.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.05), jit_compile=False)
        history = learner.fit(dataset, epochs=1, verbose=0)
        results.append([history.history["loss"], *_numbers(learner)])
    _assert_close(*results, **EXACT)


@pytest.mark.parametrize("case", COMPILED, ids=lambda case: case.name)
@pytest.mark.exhaustive
def test_steps_in_one_program_are_steps_one_by_one(case):
    runs = []
    for per_call in (1, 3):
        learner = case.learner()
        jit = per_call > 1  # one by one without XLA
        optimizer = keras.optimizers.SGD(0.01)
        learner.compile(optimizer, steps_per_execution=per_call, jit_compile=jit)
        learner.fit(case.batches(), steps_per_epoch=3, shuffle=False, verbose=0)
        runs.append(_numbers(learner))
    assert learner.train_function.calls == 1
    _assert_close(*runs, **EXACT)


@rows(THOROUGH, slow=named("dropout", "maml++, statistics"))
def test_a_run_that_was_saved_goes_on_bit_by_bit(case):
    properties.is_made_again_from_its_config(case.trial)
    properties.goes_on_bit_for_bit_after_saving(case.trial)


@rows(CASES, slow=STATEFUL)
def test_what_is_saved_and_copied_predicts_the_same(case, tmp_path):
    learner, (x, _) = case.learner(), case.batch()
    support, query = (x["support_x"][0], x["support_y"][0]), x["query_x"][0]
    fitted = learner.adapt(*support)
    expected = fitted(query)
    for copy_of in (pickled, functools.partial(saved, folder=tmp_path)):
        np.testing.assert_array_equal(copy_of(fitted)(query), expected)
        np.testing.assert_array_equal(copy_of(learner).adapt(*support)(query), expected)


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def saved(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@rows(THOROUGH, slow=named("dropout", "maml++, statistics"))
def test_every_task_draws_its_own_dropout_and_counts_the_same(case):
    once, twice = properties.trained_on([0], [0, 0], trial=case.trial)
    same = all(np.allclose(a, b, **EXACT) for a, b in zip(once, twice, strict=True))
    assert same != case.has_dropout


@rows(THOROUGH, slow=named("meta-sgd", "maml++, statistics"))
def test_an_exported_learner_predicts_the_same(case):
    properties.is_exported_as_it_is(case.trial)


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None, reason="needs the extra [litert]"
)
@rows(CASES, slow=named("meta-sgd", "maml++, statistics"))
def test_it_learns_in_litert_as_in_tensorflow(case, tmp_path):
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    path = tmp_path / "learner.tflite"
    if case.model is lstm:
        with pytest.raises(ValueError, match=r"TensorList.*lstm.*unroll=True"):
            case.learner().export(path, format="litert", shots=2, queries=6)
        return
    case.learner().export(path, format="litert", shots=2, queries=6)  # compares by itself
    assert path.exists()
