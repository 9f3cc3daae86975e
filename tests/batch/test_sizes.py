"""Padded batches: every task of them is the task alone, to the last digit but rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.batch.outer_step import outer_step
from meta_tf.data_checks.values import right_batch
from meta_tf.evaluation.metrics import TaskInterval
from meta_tf.network.seeds import seed_positions, split_seeds, with_seeds
from meta_tf.network.state import split_state
from meta_tf.types import Examples
from tests.conformance import CASES, STATEFUL, TASKS, Case, sequences, two_devices
from tests.learners import as_dataset, make_batch, make_learner

EXACT = {"rtol": 1e-9, "atol": 1e-11}
SIZES = {"support_size": [4, 3, 2], "query_size": [1, 3, 2]}
# A kind of state, and an algorithm that looks at the support set as a whole.
EVERYDAY = ("batch norm, support", "r2d2")


def normalised():
    return keras.Sequential(
        [
            keras.Input([3, 2]),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="dense"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(2, name="head"),
        ],
        name="normalised",
    )


MODES = [
    Case(f"batch norm, {mode}", meta_tf.MAML(0.1, inner_steps=2), normalised, sequences, mode)
    for mode in ("transductive", "support", "running")
]


def padded_with_rubbish(x, y, sizes, rubbish=np.nan, label=-7):
    """The batch with its rows beyond the sizes spoiled."""

    def spoil(t, size):
        t = np.array(t)
        for row, n in zip(t, size, strict=True):
            row[n:] = label if t.dtype.kind in "iu" else rubbish
        return t

    of = {"support_x": "support_size", "support_y": "support_size", "query_x": "query_size"}
    spoiled = {name: spoil(x[name], sizes[size]) for name, size in of.items()}
    return spoiled | {k: np.array(v) for k, v in sizes.items()}, spoil(y, sizes["query_size"])


def alone(x, y, t, sizes=SIZES):
    """The sets of one task without padding."""
    s, q = sizes["support_size"][t], sizes["query_size"][t]
    support = Examples(tf.constant(x["support_x"][t, :s]), tf.constant(x["support_y"][t, :s]))
    return support, Examples(tf.constant(x["query_x"][t, :q]), tf.constant(y[t, :q]))


def assert_close(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, **EXACT)


class Rights(keras.metrics.Metric):
    """How many queries are right, whatever their weights."""

    def __init__(self):
        super().__init__(name="rights")
        self.count = self.add_variable((), "zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        right = tf.argmax(y_pred, -1) == tf.cast(y_true, tf.int64)
        self.count.assign_add(tf.reduce_sum(tf.cast(right, tf.float32)))

    def result(self):
        return self.count


@pytest.fixture
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def marked(case):
    mark = pytest.mark.slow if case in (*STATEFUL, *MODES) else pytest.mark.exhaustive
    return pytest.param(case, marks=() if case.name in EVERYDAY else mark)


@pytest.mark.parametrize(
    "case", [marked(case) for case in (*CASES, *MODES)], ids=lambda case: case.name
)
@pytest.mark.usefixtures("double_precision")
def test_a_padded_task_is_the_task_alone(case):
    learner, (x, y) = case.learner(), case.batch()
    algorithm, network, weights = learner.algorithm, learner.network, learner.weights_now
    padded_x, padded_y = padded_with_rubbish(x, y, SIZES)

    # As Keras calls them: every size is unknown while the graph is made.
    forward = tf.function(lambda x: learner(x), autograph=False)
    predictions = forward(padded_x)
    options = {"scale": 1.0, "iteration": tf.constant(0), "mode": "auto", "jit": "auto"}

    @tf.function(autograph=False)
    def take_step(x, y):
        sets = right_batch(algorithm, network, x, y)
        y = sets.pop("query_y")
        return outer_step(algorithm, network, weights, sets, y, find_wrong=True, **options)

    step = take_step(padded_x, padded_y)

    drawn, _ = split_seeds(seed_positions(network.model), weights.state, TASKS)
    results = []
    for t in range(TASKS):
        support, query = alone(x, y, t)
        adapted = algorithm.adapt(network, weights, support)
        n = SIZES["query_size"][t]
        assert_close([predictions[t, :n]], [algorithm.predict(network, adapted, query.x)])
        np.testing.assert_array_equal(predictions[t, n:], 0)
        state = with_seeds(weights.state, {i: seeds[t] for i, seeds in drawn.items()})
        result = algorithm.meta_gradients(
            network, weights._replace(state=state), support, query, scale=1.0, iteration=0
        )
        results.append((result, split_state(weights.state, result.state)[0]))
        assert_close(
            [step.losses[t], step.predictions[0][t, :n]], [result.loss, result.predictions]
        )
        np.testing.assert_array_equal(step.predictions[0][t, n:], 0)
    for ours, theirs in (
        (step.gradients, [r.gradients for r, _ in results]),
        (step.meta_gradients, [r.meta_gradients for r, _ in results]),
        (step.moved, [r.moved for r, _ in results]),
        (step.state_moved, [state_moved for _, state_moved in results]),
    ):
        means = tf.nest.map_structure(lambda *g: tf.add_n(g) / TASKS, *theirs)
        assert_close(tf.nest.flatten(ours), tf.nest.flatten(means))


SMALL = {"support_size": [5, 2, 3, 4], "query_size": [6, 1, 2, 4]}  # of `make_batch`


def test_fit_and_evaluate_count_real_queries_only():
    # The loss and Keras's accuracy are the means over tasks of the means over real queries.
    x, y = make_batch()
    padded_x, padded_y = padded_with_rubbish(x, y, SMALL)
    learner = make_learner(metrics=["accuracy", TaskInterval("accuracy"), Rights()])
    right, losses = [], []
    for t in range(4):
        support, query = alone(x, y, t, SMALL)
        logits = learner.adapt(*support).predict_on_batch(query.x)
        right.append(logits.argmax(-1) == query.y.numpy())
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        losses.append(-np.take_along_axis(log_p, query.y.numpy()[:, None], -1).mean())
    accuracies = np.array([r.mean() for r in right])
    expected = {
        "accuracy": accuracies.mean(),
        "accuracy_ci95": 1.96 * accuracies.std(ddof=1) / np.sqrt(4),
        "rights": np.concatenate(right).sum(),
        "loss": np.mean(losses),
    }
    # In two batches of two tasks, as Keras cuts arrays.
    measured = learner.evaluate(padded_x, padded_y, batch_size=2, return_dict=True, verbose=0)
    learner.optimizer.learning_rate = 0.0
    history = learner.fit(padded_x, padded_y, batch_size=2, shuffle=False, verbose=0).history
    for name, value in expected.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(history[name][0], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("eagerly", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_predict_pads_with_zeros(eagerly):
    x, y = make_batch()
    padded_x, _ = padded_with_rubbish(x, y, SMALL)
    learner = make_learner(run_eagerly=eagerly)
    given = learner.predict(padded_x, verbose=0)
    assert given.shape == (4, 6, 2)
    after = learner.trajectory(padded_x)[:, -1]
    for t, n in enumerate(SMALL["query_size"]):
        support, query = alone(x, y, t, SMALL)
        expected = learner.adapt(*support).predict_on_batch(query.x)
        for predictions in (given, after):
            np.testing.assert_allclose(predictions[t, :n], expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(predictions[t, n:], 0)


@pytest.mark.slow
def test_many_steps_in_a_call_run_one_by_one():
    x, y = padded_with_rubbish(*make_batch(), SMALL)
    runs = []
    for per_call in (1, 3):
        learner = make_learner(steps_per_execution=per_call)
        data = tf.data.Dataset.from_tensors((x, y)).repeat()
        learner.fit(data, steps_per_epoch=3, verbose=0)
        runs.append([v.numpy() for v in learner.trainable_variables])
    assert learner.train_function.calls == 0
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-6)


@pytest.mark.slow
def test_two_replicas_share_padded_tasks():
    x, y = padded_with_rubbish(*make_batch(), SMALL)
    runs = []
    for scope in (tf.distribute.get_strategy().scope, two_devices().scope):
        with scope():
            learner = make_learner(metrics=["accuracy"])
        data = tf.data.Dataset.from_tensors((x, y))
        history = learner.fit(data, verbose=0).history
        runs.append([history["loss"], history["accuracy"], *learner.get_weights()])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def learner():
    """One for all that it refuses; it is not changed."""
    return make_learner()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_size": None}, "must have both.*Received: only `support_size`"),
        ({"support_size": [5, 2, 3, 0]}, "`support_size` must be between 1 and"),
        ({"query_size": [7, 1, 2, 4]}, "`query_size` must be between 1 and"),
        ({"query_size": [6.0, 1.0, 2.0, 4.0]}, r"`query_size` must be integers \[T\]"),
        ({"query_size": 4}, r"`query_size` must be integers \[T\]"),
        ({"query_size": [6, 1, 2]}, "`query_size` must have one number for each of the 4 tasks"),
    ],
)
def test_wrong_sizes_are_named(change, message, learner):
    x, y = padded_with_rubbish(*make_batch(), SMALL)
    x |= {name: np.array(size) for name, size in change.items()}
    x = {name: tensor for name, tensor in x.items() if change.get(name, 0) is not None}
    calls = [
        lambda: learner.fit(as_dataset(x, y), verbose=0),
        lambda: learner.evaluate(as_dataset(x, y), verbose=0),
        lambda: learner.predict(x, verbose=0),
        lambda: learner.trajectory(x),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_real_examples_are_still_checked(learner):
    x, y = padded_with_rubbish(*make_batch(), SMALL)
    with pytest.raises(ValueError, match="`query_y` must hold class numbers"):
        learner.fit(as_dataset(x, np.where(y < 0, y, y - 1)), verbose=0)
    x["support_x"][1, 0] = np.nan
    with pytest.raises(ValueError, match="`support_x` must be finite"):
        learner.fit(as_dataset(x, y), verbose=0)
