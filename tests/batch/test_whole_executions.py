"""Many outer steps in one program: the same weights as steps one by one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.batch.whole_executions import WholeExecutions
from tests.learners import CE, classifier, make_batch, make_learner
from tests.marks import exhaustive, slow

optimizers = keras.optimizers
STEPS = 4


def several(variable):
    return optimizers.Adam() if "head" in variable.path else optimizers.SGD(0.1)


OPTIMISERS = {
    "Adam": lambda: optimizers.Adam(
        optimizers.schedules.CosineDecay(0.1, 10), weight_decay=0.1, global_clipnorm=0.01
    ),
    "accumulation": slow(lambda: optimizers.SGD(0.1, gradient_accumulation_steps=3)),
    **{
        name: exhaustive(getattr(optimizers, name))
        for name in (
            *("SGD", "AdamW", "Adamax", "Adagrad", "Adadelta", "Adafactor", "RMSprop", "Nadam"),
            *("Ftrl", "Lion", "Lamb", "Muon", "ScheduleFreeAdamW"),
        )
    },
    "several": exhaustive(lambda: optimizers.MultiOptimizer(several)),
    "momentum": exhaustive(lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True)),
    "amsgrad": exhaustive(lambda: optimizers.Adam(0.01, amsgrad=True)),
    "clipnorm": exhaustive(lambda: optimizers.SGD(1.0, clipnorm=0.01)),
    "clipvalue": exhaustive(lambda: optimizers.SGD(1.0, clipvalue=0.01)),
    "average": exhaustive(lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3)),
}


def batches(count=24):
    x, y = make_batch(tasks=4 * count)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4, drop_remainder=True).repeat()


def fitted(data, whole, optimizer=lambda: optimizers.SGD(0.1), steps=3 * STEPS, **options):
    """A learner after `steps` outer steps, and its history."""
    learner = make_learner(
        classifier(**options.pop("model", {})),
        options.pop("algorithm", None),
        **{"optimizer": optimizer(), "steps_per_execution": STEPS if whole else 1, **options},
    )
    history = learner.fit(data, steps_per_epoch=steps, epochs=2, shuffle=False, verbose=0)
    return learner, history.history


def assert_same(data, **options):
    # Without XLA, whose random numbers are others.
    reference = {} if "model" in options else {"jit_compile": False}
    one, one_history = fitted(data, False, **options, **reference)
    all_, all_history = fitted(data, True, **options)
    assert ran_whole(all_)
    for a, b in zip(all_.variables, one.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, err_msg=a.path)
    for a, b in zip(all_.optimizer.variables, one.optimizer.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, err_msg=a.path)
    assert all_history.keys() == one_history.keys()
    for name, values in one_history.items():
        np.testing.assert_allclose(all_history[name], values, rtol=1e-5)


def ran_whole(learner):
    return isinstance(learner.train_function, WholeExecutions) and learner.train_function.calls > 0


@pytest.mark.parametrize("optimizer", OPTIMISERS.values(), ids=OPTIMISERS)
def test_every_optimiser_makes_the_same_steps(optimizer):
    assert_same(batches(), optimizer=optimizer, metrics=["accuracy"])


def test_all_of_keras_s_optimisers_are_tried():
    kinds = {
        name
        for name, kind in vars(optimizers).items()
        if isinstance(kind, type) and issubclass(kind, optimizers.Optimizer)
    }
    made = [getattr(o, "values", [o])[0]() for o in OPTIMISERS.values()]
    tried = {type(optimizer).__name__ for optimizer in made}
    # The base class, and what scales losses, which is not run whole.
    assert kinds - tried == {"Optimizer", "LossScaleOptimizer"}


@pytest.mark.parametrize(
    "options",
    [
        slow({"model": {"dropout": 0.5}}),
        exhaustive({"metrics": [keras.metrics.SparseTopKCategoricalAccuracy(2)]}),
        exhaustive({"algorithm": meta_tf.MetaSGD(inner_lr=0.1)}),
        exhaustive({"algorithm": meta_tf.MAML(0.1, inner_steps=5)}),
    ],
    ids=["dropout", "metrics", "meta-sgd", "many steps"],
)
def test_what_a_step_changes_is_the_same(options):
    assert_same(batches(), **options)


@pytest.mark.slow
def test_tasks_made_as_it_goes():
    def weights(per_call):
        keras.utils.set_random_seed(0)
        learner = meta_tf.MetaLearner(
            meta_tf.models.mlp(hidden=[8]), meta_tf.MAML(0.01), loss="mse"
        )
        learner.compile("adam", steps_per_execution=per_call)
        source = meta_tf.tasks.Sinusoid(shots=5)
        learner.fit(source.train.batches(6), steps_per_epoch=10, shuffle=False, verbose=0)
        assert per_call == 1 or ran_whole(learner)
        return learner.get_weights()

    for one, other in zip(weights(1), weights(5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        exhaustive(batches().take(10)),
        slow(tf.data.Dataset.from_tensor_slices(make_batch(tasks=9)).batch(4).repeat()),
        exhaustive(make_batch(tasks=16)),
    ],
    ids=["finite", "a short batch", "arrays"],
)
def test_other_data_goes_step_by_step(data):
    data = {"x": data[0], "y": data[1], "batch_size": 4} if isinstance(data, tuple) else {"x": data}
    results = []
    for per_call in (1, 2):
        learner = make_learner(steps_per_execution=per_call)
        learner.fit(**data, steps_per_epoch=None if "y" in data else 10, shuffle=False, verbose=0)
        assert not ran_whole(learner)
        results.append(learner.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_convolutions_go_step_by_step():
    model = keras.Sequential(
        [
            keras.Input([6, 6, 1]),
            keras.layers.Conv2D(2, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    learner = make_learner(model, steps_per_execution=2)
    x = {n: np.ones([4, 3, 6, 6, 1], "float32") for n in ("support_x", "query_x")}
    x["support_y"] = np.zeros([4, 3], int)
    data = tf.data.Dataset.from_tensors((x, x["support_y"])).repeat()
    learner.fit(data, steps_per_epoch=4, verbose=0)
    assert not ran_whole(learner)
    assert int(learner.optimizer.iterations) == 4


@pytest.mark.slow
def test_a_metric_that_xla_cannot_compile_is_worked_out_without_it():
    class Rounded(keras.metrics.MeanMetricWrapper):
        def __init__(self):
            super().__init__(lambda y, p: tf.strings.to_number(tf.strings.as_string(y)), name="own")

    learner, history = fitted(batches(), True, metrics=[Rounded()])
    plain, expected = fitted(batches(), False, metrics=[Rounded()])
    assert history["own"] == pytest.approx(expected["own"])
    for a, b in zip(learner.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_wrong_labels_stop_the_program_too():
    x, y = make_batch()
    wrong = tf.data.Dataset.from_tensors((x, y + 1)).repeat()
    learner = make_learner(steps_per_execution=2)
    before = learner.get_weights()
    with pytest.raises(ValueError, match="`query_y` must hold"):
        learner.fit(wrong, steps_per_epoch=2, verbose=0)
    for a, b in zip(learner.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("whole", [False, True])
def test_a_program_of_many_steps_may_have_more_operations(monkeypatch, whole):
    most = {"auto": 0, "whole": 10**6} if whole else {"auto": 10**6, "whole": 0}
    monkeypatch.setattr("meta_tf.batch.map_tasks._MOST_COMPILED", most)
    learner = make_learner(steps_per_execution=2)
    learner.make_train_function()
    data = batches()
    assert (learner.train_function.stacked(data) is not data) == whole


def test_fitting_again_compiles_nothing_again():
    learner = make_learner(steps_per_execution=2)
    learner.fit(batches(), steps_per_epoch=2, verbose=0)
    function = learner.train_function
    learner.fit(batches(), steps_per_epoch=4, verbose=0)
    assert learner.train_function is function
    assert function.calls == 3
    assert function.traces() == 1


def test_large_batches_are_not_stacked():
    wide = keras.Sequential([keras.Input([2000]), keras.layers.Dense(2)])
    learner = make_learner(wide, loss=CE, steps_per_execution=3000)
    x = {n: np.ones([2, 1, 2000], "float32") for n in ("support_x", "query_x")}
    x["support_y"] = np.zeros([2, 1], int)
    learner.make_train_function()
    data = tf.data.Dataset.from_tensors((x, x["support_y"])).repeat()
    # 3000 batches of 2 x 2 x 2000 numbers of four bytes are 96 MB.
    assert learner.train_function.stacked(data) is data
    assert learner.train_function.stacked(data.take(3)).cardinality() == 3
