"""`map_tasks` and `sum_tasks`: every way of running the tasks gives the same."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.batch import map_tasks as parallel
from meta_tf.batch.map_tasks import map_tasks, sum_tasks
from meta_tf.network.network import Network
from meta_tf.types import Examples
from tests.marks import exhaustive, slow

layers = keras.layers
MODELS = {
    "dense": ([3], lambda: [layers.Dense(4, "tanh"), layers.Dense(2)]),
    "conv": ([4, 4, 1], lambda: [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)]),
    "lstm": ([3, 2], lambda: [layers.LSTM(2), layers.Dense(2)]),
    "attention": ([3, 4], lambda: [SelfAttention(), layers.Flatten(), layers.Dense(2)]),
    "max-pool": (
        [6, 6, 1],
        lambda: [layers.Conv2D(2, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)],
    ),
}


class SelfAttention(layers.Layer):
    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(2, 3)

    def build(self, shape):
        self.attention.build(shape, shape)

    def call(self, x):
        return self.attention(x, x)


def _problem(name):
    """The meta-gradient of one task as a function, and three tasks."""
    shape, build = MODELS[name]
    network = Network(keras.Sequential([keras.Input(shape), *build()]), "mse")
    weights, maml = network.weights, meta_tf.MAML(0.1)

    def learn(task):
        return maml.meta_gradients(network, weights, *task).gradients

    def examples(seed):
        x = tf.random.stateless_normal([3, 4, *shape], [seed, 0])
        return Examples(x, tf.random.stateless_normal([3, 4, 2], [seed, 1]))

    return learn, (examples(1), examples(2))


# But what cannot be: loops of a recurrent layer in one vectorised program.
WAYS = [
    ("dense", "parallel", False),
    slow("dense", "parallel", True),
    slow("dense", "vectorized", False),
    ("dense", "vectorized", True),
    slow("dense", "auto", "auto"),
    slow("conv", "parallel", False),
    slow("conv", "vectorized", False),
    ("conv", "auto", "auto"),
    exhaustive("lstm", "parallel", False),
    slow("lstm", "auto", "auto"),
    exhaustive("attention", "parallel", False),
    exhaustive("attention", "vectorized", True),
    slow("attention", "auto", "auto"),
    ("max-pool", "auto", True),
]


@pytest.mark.parametrize(("name", "mode", "jit"), WAYS)
def test_every_way_gives_the_same(name, mode, jit):
    learn, tasks = _problem(name)
    # Called eagerly, it is a loop over the tasks.
    expected = map_tasks(learn, tasks)
    given = tf.function(lambda t: map_tasks(learn, t, mode=mode, jit=jit), autograph=False)(tasks)
    for one, other in zip(given, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("dense", "_vectorized"),
        slow("attention", "_vectorized"),
        ("conv", "_parallel"),
        slow("lstm", "_parallel"),
    ],
)
def test_auto_looks_at_the_model(name, way, monkeypatch):
    taken = []
    for one in ("_vectorized", "_parallel"):
        run = getattr(parallel, one)
        monkeypatch.setattr(parallel, one, lambda *a, n=one, run=run: (taken.append(n), run(*a))[1])
    learn, tasks = _problem(name)
    tf.function(lambda t: map_tasks(learn, t), autograph=False).get_concrete_function(tasks)
    assert taken == [way]


@pytest.mark.parametrize(("name", "compiled"), [("dense", True), ("max-pool", False)])
def test_max_pooling_is_never_compiled_at_second_order(name, compiled):
    learn, tasks = _problem(name)
    graph = tf.function(lambda t: map_tasks(learn, t, jit=True), autograph=False)
    graph = graph.get_concrete_function(tasks).graph
    nodes = [*graph.as_graph_def().node]
    assert any(n.attr["_XlaMustCompile"].b for n in nodes) == compiled


def test_no_more_tasks_run_at_a_time_than_asked_for():
    running, most = [0], [0]

    def enter(x):
        running[0] += 1
        most[0] = max(most[0], running[0])
        return x

    def leave(x):
        running[0] -= 1
        return x

    def fn(x):
        x = tf.numpy_function(enter, [x], tf.float32)
        x = tf.numpy_function(leave, [x], tf.float32)
        return tf.ensure_shape(x, [])

    run = tf.function(lambda t: map_tasks(fn, t, mode="parallel", in_flight=1), autograph=False)
    run(tf.zeros([20]))
    assert most[0] == 1


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("mode", parallel.TASK_MODES)
def test_structures_go_in_and_out(mode, graph):
    def fn(task):
        return {
            "sum": task["a"] + task["b"][0],
            "pair": (task["a"], Examples(task["b"][0], 2.0 * task["a"])),
        }

    def run(tasks):
        return map_tasks(fn, tasks, mode=mode)

    tasks = {"a": tf.constant([1.0, 2.0]), "b": [tf.constant([10.0, 20.0])]}
    result = (tf.function(run, autograph=False) if graph else run)(tasks)
    np.testing.assert_array_equal(result["sum"], [11, 22])
    assert isinstance(result["pair"][1], Examples)
    np.testing.assert_array_equal(result["pair"][1].y, [2, 4])


def test_a_gradient_goes_through():
    @tf.function(autograph=False)
    def slope(w):
        with tf.GradientTape() as tape:
            tape.watch(w)
            loss = tf.reduce_sum(map_tasks(lambda x: w * x * x, tf.constant([1.0, 2.0, 3.0])))
        return tape.gradient(loss, w)

    assert float(slope(tf.constant(1.0))) == 1 + 4 + 9


def test_the_number_of_tasks_may_be_unknown():
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 2])])
    def doubled(x):
        return map_tasks(lambda t: 2 * t, x)

    np.testing.assert_array_equal(doubled(tf.ones([3, 2])), 2 * np.ones([3, 2]))


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match=r"`mode` must be one of 'auto'.*Received: 'serial'"):
        map_tasks(lambda x: x, tf.zeros([1]), mode="serial")


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("mode", parallel.TASK_MODES)
@pytest.mark.parametrize(("count", "in_flight"), [(1, 2), (3, 2), (8, 2), (11, 2), (25, 3)])
def test_sums_are_those_of_all_tasks(mode, count, in_flight, graph):
    # Vectorized, 3 tasks are one program and 8 are two of 4. 11 are two of 6, 25 are three of 9:
    # the last one leaves out the tasks that are in the one before, too.
    def fn(task):
        return task["a"] + 1, {"a": 2 * task["a"], "b": [tf.square(task["b"])]}

    def run(tasks):
        return sum_tasks(fn, tasks, mode=mode, in_flight=in_flight)

    a, b = np.arange(count, dtype="float64"), np.arange(2.0 * count).reshape(count, 2)
    run = tf.function(run, autograph=False) if graph else run
    each, total = run({"a": tf.constant(a), "b": tf.constant(b)})
    np.testing.assert_array_equal(each, a + 1)
    np.testing.assert_array_equal(total["a"], 2 * a.sum())
    np.testing.assert_array_equal(total["b"][0], (b**2).sum(0))


@pytest.mark.parametrize(
    ("tasks", "in_flight", "programs"), [(3, 4, 1), (8, 2, 2), (11, 2, 2), (11, 1, 1), (25, 4, 4)]
)
def test_vectorized_tasks_are_shared_by_programs(tasks, in_flight, programs):
    run = tf.function(
        lambda t: map_tasks(lambda x: 2 * x, t, mode="vectorized", in_flight=in_flight),
        autograph=False,
    ).get_concrete_function(tf.zeros([tasks, 3]))
    calls = [op for op in run.graph.get_operations() if "PartitionedCall" in op.type]
    assert len(calls) == programs
    # They run the same program: it is traced once, and XLA compiles it once, because no input is
    # a number (of the first task, for example) for which XLA would compile it again.
    assert len({op.get_attr("f").name for op in calls}) == 1
    assert all(t.shape.rank > 0 for op in calls for t in op.inputs)
    # It calls no other function, whose operations TensorFlow would go through once more.
    library = run.graph.as_graph_def().library.function
    assert not any("PartitionedCall" in node.op for f in library for node in f.node_def)


def test_in_a_program_of_many_steps_no_task_is_computed_twice():
    run = tf.function(
        lambda t: sum_tasks(
            lambda x: (2 * x, 3 * x), t, mode="vectorized", jit="whole", in_flight=3
        ),
        autograph=False,
    ).get_concrete_function(tf.TensorSpec([25]))
    calls = [op for op in run.graph.get_operations() if "PartitionedCall" in op.type]
    assert [op.inputs[0].shape[0] for op in calls] == [8, 8, 9]
    each, total = run(tf.range(25.0))
    np.testing.assert_array_equal(each, 2 * np.arange(25))
    assert total == 3 * 25 * 24 / 2


def test_a_task_in_two_programs_is_not_hidden():
    # 11 tasks are programs for the tasks 0 to 5 and 5 to 10.
    tasks = np.arange(11.0)
    tasks[5] = np.nan
    run = tf.function(
        lambda t: sum_tasks(lambda x: (2 * x, 3 * x), t, mode="vectorized", in_flight=2),
        autograph=False,
    )
    each, total = run(tasks)
    np.testing.assert_array_equal(each, 2 * tasks)
    assert np.isnan(total)


@pytest.mark.parametrize(("most", "compiled"), [(10_000, True), (10, False)])
def test_only_small_programs_are_compiled_by_themselves(most, compiled, monkeypatch):
    monkeypatch.setattr(parallel, "_MOST_COMPILED", {"auto": most})
    learn, tasks = _problem("dense")
    graph = tf.function(lambda t: map_tasks(learn, t, jit="auto"), autograph=False)
    nodes = graph.get_concrete_function(tasks).graph.as_graph_def().node
    assert any(n.attr["_XlaMustCompile"].b for n in nodes) == compiled


def test_what_solves_equations_is_not_compiled_by_itself():
    graph = tf.function(lambda t: map_tasks(tf.linalg.cholesky, t, jit="auto"), autograph=False)
    nodes = graph.get_concrete_function(tf.eye(2, batch_shape=[8])).graph.as_graph_def().node
    assert not any(n.attr["_XlaMustCompile"].b for n in nodes)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux tells which cores")
def test_only_the_cores_it_was_given_count():
    given = os.sched_getaffinity(0)
    assert parallel.cores() == len(given)
    try:
        os.sched_setaffinity(0, {min(given)})
        assert parallel.cores() == 1
    finally:
        os.sched_setaffinity(0, given)
