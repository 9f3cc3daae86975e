"""Single rules of the lowering, on graphs of one operation."""

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.export.lowering.lower import lower
from meta_tf.export.refused import Refused
from meta_tf.require import after, require


def graph_of(function, *specs):
    named = [tf.TensorSpec(s.shape, s.dtype, name) for name, s in zip("xy", specs, strict=False)]
    return tf.function(
        lambda *tensors: {"result": function(*tensors)}, input_signature=named, autograph=False
    ).get_concrete_function()


def kinds(function):
    return {op.type for op in function.graph.get_operations()}


ROWS = tf.TensorSpec([None, 2], tf.float32)


def test_rows_are_put_together_and_the_last_given_holds():
    places = [[0, 2, 1], [3, 1]]
    written = lower(
        graph_of(lambda x, y: tf.raw_ops.DynamicStitch(indices=places, data=[x, y]), ROWS, ROWS)
    ).function
    assert "DynamicStitch" not in kinds(written)
    x, y = np.arange(6.0).reshape(3, 2), 10 + np.arange(4.0).reshape(2, 2)
    found = written(x=tf.constant(x, tf.float32), y=tf.constant(y, tf.float32))["result"]
    np.testing.assert_array_equal(found, [x[0], y[1], x[1], y[0]])


@pytest.mark.parametrize(
    ("stitch", "why"),
    [
        (lambda x: tf.dynamic_stitch([[0, 2]], [x]), "rows are missing"),
        (lambda x: tf.dynamic_stitch([tf.range(tf.shape(x)[0])], [x]), "only at run time"),
    ],
)
def test_what_cannot_be_put_together_is_refused(stitch, why):
    with pytest.raises(Refused, match=f"DynamicStitch of .*{why}"):
        lower(graph_of(stitch, ROWS))


def test_conditions_on_values_make_no_branches():
    """Not even with numbers in the message that are known only at run time."""

    def checked(x):
        return after([require(x > 0, "`x` must be above 0. Received: ", x[0, 0], ".")], x)

    assert "If" not in kinds(lower(graph_of(checked, ROWS)).function)


SQUARE = tf.TensorSpec([None, None], tf.float32)


@pytest.mark.parametrize(("rows", "smallest"), [(1, 1.0), (3, 1.0), (40, 1.0), (40, 1e-2)])
def test_a_system_of_unknown_size_is_solved_by_iteration(rows, smallest):
    def solve(x, y):
        return tf.linalg.cholesky_solve(tf.linalg.cholesky(x), y)

    written = lower(graph_of(solve, SQUARE, ROWS)).function
    assert not kinds(written) & {"Cholesky", "MatrixTriangularSolve"}
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=[rows, rows]))[0]
    a = axes * np.geomspace(smallest, 20, rows) @ axes.T
    b = rng.normal(size=[rows, 2])
    found = written(x=tf.constant(a, tf.float32), y=tf.constant(b, tf.float32))["result"]
    expected = np.linalg.solve(a, b)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_a_decomposition_of_unknown_size_alone_is_refused():
    with pytest.raises(Refused, match=r"Cholesky of .*known size"):
        lower(graph_of(lambda x, y: tf.linalg.cholesky(x) @ y, SQUARE, ROWS))


def test_large_variables_stay_inputs_and_small_ones_become_constants():
    large, small = tf.Variable(tf.ones([2, 600])), tf.Variable(3.0)
    traced = graph_of(lambda x: small * tf.reduce_sum(x @ large, 1), ROWS)
    written = lower(traced)
    assert [v is large for v in written.weights.values()] == [True]
    small.assign(5.0)  # later: its value is in the graph
    large.assign(2 * large)
    found = written.with_weights()(x=tf.constant([[1.0, 2.0]]))["result"]
    np.testing.assert_allclose(found, [3 * (1 + 2) * 600 * 2])
