"""NaN and infinity never pass: neither in examples, nor in what tasks make of finite ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.batch.whole_executions import WholeExecutions
from tests.conformance import two_devices
from tests.learners import as_dataset, make_batch, make_learner
from tests.marks import exhaustive, slow


def with_relu(**options):
    """A learner whose compiled predictions are finite whatever NaN is in the examples."""
    body = keras.layers.Dense(4, "relu", name="body", kernel_initializer="glorot_uniform")
    model = keras.Sequential([keras.Input([3]), body, keras.layers.Dense(2, name="head")])
    return make_learner(model, **{"jit_compile": "auto", **options})


def state_of(learner):
    return [v.numpy() for v in (*learner.variables, *learner.optimizer.variables)]


def of_batch(name):
    """A batch of which example 2 of task 1 in the set `name` has a wrong value."""
    x, y = make_batch()
    x["query_y"] = y.astype("float32")
    x["support_y"] = x["support_y"].astype("float32")
    x[name] = x[name].copy()
    x[name][1, 2] = np.inf if name == "query_x" else np.nan
    return x, x.pop("query_y")


class Given:
    """A split of given batches of two tasks: the second one is task 2 of all, and so on."""

    def __init__(self, x, y):
        self.batch = tf.nest.map_structure(tf.constant, (x, y))

    def batches(self, tasks, seed=0):
        for first in (2, 0):  # the wrong task comes last
            yield tf.nest.map_structure(lambda t, i=first: t[i : i + tasks], self.batch)


CALLS = {
    "fit": lambda learner, x, y: learner.fit(as_dataset(x, y), verbose=0),
    "train_on_batch": lambda learner, x, y: learner.train_on_batch(x, y),
    "evaluate": lambda learner, x, y: learner.evaluate(as_dataset(x, y), verbose=0),
    "predict": lambda learner, x, y: learner.predict(x, verbose=0),
    "predict_on_batch": lambda learner, x, y: learner.predict_on_batch(x),
    "trajectory": lambda learner, x, y: learner.trajectory(x),
}


@pytest.mark.parametrize("eagerly", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_example_that_is_not_finite_is_refused_and_named(eagerly):
    learner = with_relu(run_eagerly=eagerly)
    before = state_of(learner)
    for call in ["train_on_batch", "predict"] if eagerly else CALLS:
        for name in ("support_x", "support_y", "query_x", "query_y"):
            if name == "query_y" and call not in ("fit", "train_on_batch", "evaluate"):
                continue
            with pytest.raises(ValueError, match=f"`{name}` must be finite") as raised:
                CALLS[call](learner, *of_batch(name))
            assert "first in example 2 of task 1 (counted from 0)" in str(raised.value)
            assert eagerly or "\n" not in str(raised.value)
    for one, other in zip(before, state_of(learner), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["support_x", "query_x", "query_y"])
def test_evaluation_counts_all_tasks(name):
    x, y = of_batch(name)
    with pytest.raises(ValueError, match=f"`{name}` must be finite.* example 2 of task 3 "):
        meta_tf.evaluate(with_relu(), Given(x, y), 4, tasks_at_once=2, metric="loss")


def test_what_learns_one_task_refuses_them_too():
    x = np.random.default_rng(0).normal(size=[40, 3]).astype("float32")
    x[37, 1] = np.nan
    learner = with_relu()
    with pytest.raises(ValueError, match=r"`support_x` must be finite.* in example 37 .counted"):
        learner.adapt(x, np.arange(40) % 2)
    fitted = learner.adapt(x[:4], ["a", "b"] * 2)
    calls = [
        lambda: fitted.predict(x, verbose=0),  # more than one batch
        lambda: fitted.predict(tf.constant(x), batch_size=40, verbose=0),
        lambda: fitted.predict_on_batch(x),
        lambda: fitted.predict_one_by_one(x),
        lambda: fitted.predict_names(x),
        lambda: fitted(tf.constant(x)),
        lambda: fitted.predict(tf.data.Dataset.from_tensors(x), verbose=0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"`(x|inputs)` must be finite.* in example 37 "):
            call()
    normed = keras.Sequential([keras.Input([3]), keras.layers.BatchNormalization()])
    normed = make_learner(normed, meta_tf.ProtoNet(2)).adapt(x[:4], [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"`batch_with` must be finite.* in example 37 "):
        normed.predict_one_by_one(x[:2], batch_with=x)


# What tasks make of finite examples: the support set of task 2 is too large for its inner loop.

STEPS = 3


def diverging():
    """A batch whose task 2 diverges: f(x) = w x, whose gradient is x² (w - 1) here."""
    x = {name: np.ones([4, 1, 1], "float32") for name in ("support_x", "support_y", "query_x")}
    x["support_x"][2] = 1e15  # x² is finite still, what a second step multiplies it by is not
    return x, np.ones([4, 1, 1], "float32")


def fine():
    x, y = diverging()
    return {**x, "support_x": np.ones([4, 1, 1], "float32")}, y


def line(**options):
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="head")
    options = {"optimizer": keras.optimizers.Adam(0.1, global_clipnorm=1.0), **options}
    algorithm = options.pop("algorithm", meta_tf.MAML(0.1, 3))
    return make_learner(keras.Sequential([keras.Input([1]), dense]), algorithm, "mse", **options)


def one_after_another(*batches):
    data = [tf.data.Dataset.from_tensors(batch) for batch in batches]
    for one in data[1:]:
        data[0] = data[0].concatenate(one)
    return data[0]


WAYS = {
    "compiled": {"jit_compile": "auto"},
    "eager": {"run_eagerly": True},
    "several steps": {"steps_per_execution": STEPS, "jit_compile": False},
    "whole": {"steps_per_execution": STEPS},
}


@pytest.mark.parametrize(
    ("way", "algorithm"),
    [
        ("whole", meta_tf.MAML(0.1, 3)),
        slow("compiled", meta_tf.MAML(0.1, 3)),
        slow("eager", meta_tf.MAML(0.1, 3)),
        exhaustive("several steps", meta_tf.MAML(0.1, 3)),
        slow("compiled", meta_tf.Reptile(0.1, optimizer="sgd")),
    ],
)
def test_fit_stops_before_the_step_in_which_a_task_diverges(way, algorithm):
    expected = line(algorithm=algorithm)
    expected.fit(as_dataset(*fine()), verbose=0)
    learner = line(algorithm=algorithm, **WAYS[way])
    data = one_after_another(fine(), diverging(), fine()).repeat()
    callback = keras.callbacks.TerminateOnNaN()
    learner.make_train_function()
    program = learner.train_function
    with pytest.raises(
        ValueError, match=r"first in task 2 of the batch.* lower `inner_lr`"
    ) as raised:
        learner.fit(data, steps_per_epoch=STEPS, verbose=0, callbacks=[callback])
    assert "\n" not in str(raised.value) and "\\" not in str(raised.value)
    if way == "whole":
        assert isinstance(program, WholeExecutions)
        assert program.traces() == 1
    assert int(learner.optimizer.iterations) == 1
    for one, other in zip(state_of(learner), state_of(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    learner.fit(
        one_after_another(fine(), fine(), fine()).repeat(), steps_per_epoch=STEPS, verbose=0
    )
    assert int(learner.optimizer.iterations) == 1 + STEPS


@pytest.mark.slow
def test_two_replicas_stop_together_and_count_all_tasks():
    with two_devices().scope():
        learner = line()
    before = state_of(learner)
    with pytest.raises(ValueError, match="first in task 2 of the batch"):
        learner.fit(*diverging(), batch_size=4, shuffle=False, verbose=0)
    for one, other in zip(before, state_of(learner), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "algorithm",
    [
        meta_tf.ProtoNet(2, distance="cosine"),
        exhaustive(meta_tf.MatchingNet(2)),
        slow(meta_tf.LogisticRegression(2)),
        exhaustive(meta_tf.InContext(2, width=4, blocks=1, heads=1, answer="votes")),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_a_gradient_of_a_finite_loss_is_looked_at(algorithm):
    # sqrt has no derivative at 0, which is finite: embeddings are fine and their gradients are not.
    x, y = make_batch()
    x["support_x"][3] = 0
    inputs = keras.Input([3])
    embedded = keras.layers.Dense(4, use_bias=False)(inputs)
    embedded = keras.layers.Lambda(lambda t: tf.sqrt(tf.abs(t)) + 1)(embedded)
    learner = make_learner(keras.Model(inputs, embedded), algorithm)
    before = state_of(learner)
    with pytest.raises(ValueError, match=r"first in task 3 of the batch.*Lower the optimizer's"):
        learner.fit(as_dataset(x, y), verbose=0)
    for one, other in zip(before, state_of(learner), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_are_not_finite_are_named_as_such():
    learner = line(optimizer=keras.optimizers.SGD(1e39))
    with pytest.raises(ValueError, match="`fit` must end with finite weights"):
        learner.fit(as_dataset(*fine()), verbose=0)  # there is no other step to notice it
    learner.set_weights([np.full([1, 1], np.nan, "float32")])
    with pytest.raises(ValueError, match=r"^`fit` must start a step from finite weights"):
        learner.fit(as_dataset(*fine()), verbose=0)


@pytest.mark.slow
def test_a_gradient_that_cannot_be_squared_is_not_given_to_adam():
    # Two inner steps multiply by (1 - 2 LR x²)² ≈ 4e20, and so does the gradient of w x by w.
    x, y = fine()
    x["support_x"][1] = 1e5
    learner = line(algorithm=meta_tf.MAML(1.0, 2))
    with pytest.raises(ValueError, match=r"too large to be squared.* in task 1 of the batch"):
        learner.fit(as_dataset(x, y), verbose=0)


def test_float16_leaves_steps_out_and_goes_on():
    keras.config.set_dtype_policy("mixed_float16")
    learner = line()
    before = learner.get_weights()
    history = learner.fit(as_dataset(*diverging()), verbose=0).history
    assert isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer)
    assert not np.isfinite(history["loss"][0])
    np.testing.assert_array_equal(learner.get_weights()[0], before[0])


@pytest.mark.parametrize("call", [slow("predict"), "trajectory"])
def test_a_layer_that_swallows_nan_does_not_hide_that_a_task_diverged(call):
    # The body alone adapts, to NaN; ReLU makes 0 of it, and predictions would be the head's bias.
    learner = with_relu(algorithm=meta_tf.MAML(1e38, 3, adapted="body"))
    x, _ = make_batch()
    x["support_x"] *= 1000  # gradients above 3, so that the first step is beyond float32
    found = learner.predict(x, verbose=0) if call == "predict" else learner.trajectory(x)[:, -1]
    assert np.isnan(found).all()
    if call == "trajectory":
        assert np.isfinite(learner.trajectory(x)[:, 0]).all()
