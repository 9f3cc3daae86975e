"""Tasks made by a function of the user's."""

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import from_function


def line(seed):
    slope, x = tf.split(tf.random.stateless_normal([8, 1], seed), [1, 7])
    return x[:3], slope * x[:3], x[3:], slope * x[3:]


def labelled(seed):
    x = tf.random.stateless_normal([6, 2], seed)
    y = tf.constant([0, 1, 2, 0, 1, 2], tf.int64)
    return x[:3], y[:3], x[3:], y[3:]


def test_tasks_are_those_of_the_function():
    source = from_function(line)
    assert (source.kind, source.shots, source.queries) == ("regression", 3, 4)
    x, query_y = next(iter(source.train.batches(20)))
    slopes = x["support_y"][:, :1] / x["support_x"][:, :1]
    np.testing.assert_allclose(query_y, slopes * x["query_x"], rtol=1e-4, atol=1e-6)
    assert len(np.unique(slopes)) == 20


def test_parts_have_seeds_of_their_own():
    source = from_function(line)
    drawn = [
        set(next(iter(part.batches(50)))[1].numpy().ravel())
        for part in (source.train, source.valid, source.test)
    ]
    assert not (drawn[0] & drawn[1] or drawn[0] & drawn[2] or drawn[1] & drawn[2])


def test_classification_needs_ways_and_gives_int32():
    source = from_function(labelled, ways=3)
    assert (source.kind, source.ways, source.shots, source.queries) == ("classification", 3, 1, 1)
    assert source.train.batches(2).element_spec[1].dtype == tf.int32


def test_inputs_may_be_structures_and_code_may_branch():
    def two_inputs(seed):
        x = tf.random.stateless_normal([5, 2], seed)
        if x[0, 0] > 0:
            x = -x
        inputs = {"left": x, "words": tf.cast(x * 100, tf.int64)}
        return inputs, x, inputs, x

    source = from_function(two_inputs)
    assert source.input_shape == {"left": (2,), "words": (2,)}
    x, _ = next(iter(source.train.batches(30)))
    assert x["support_x"]["words"].dtype == tf.int32
    assert (x["support_x"]["left"][:, 0, 0] <= 0).numpy().all()


def stateful(seed):
    x = tf.random.normal([4, 1])
    return x, x, x, x


def numpy_drawn(seed):
    x = np.random.default_rng(0).normal(size=[4, 1])
    return x, x, x, x


def numpy_on_tensor(seed):
    x = np.sort(seed)
    return x, x, x, x


def three(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x, x


def only_the_seed(seed):
    return seed


def not_finite(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x, x, x / 0.0


def unequal(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x[:3], x, x


def unknown_size(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    x = tf.boolean_mask(x, x[:, 0] > -100)
    return x, x, x, x


def strings(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x, tf.as_string(x), x


def list_targets(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, [x, x], x, x


@pytest.mark.parametrize(
    ("fn", "ways", "message"),
    [
        (stateful, None, "The same seed gave two different tasks"),
        (numpy_drawn, None, "8 seeds gave the same task"),
        (numpy_on_tensor, None, "Compiling it failed with.*only TensorFlow operations"),
        (three, None, "It returned a tuple of 3"),
        (only_the_seed, None, "It returned SymbolicTensor"),
        (not_finite, None, "Its query_y contains NaN or infinity"),
        (unequal, None, "Its support set has different numbers"),
        (unknown_size, None, "Its support_x has no fixed shape"),
        (strings, None, "dtype string, not floats or integers"),
        (list_targets, None, "Its support_y is not a single tensor"),
        (labelled, None, "int32; for classification pass `ways`"),
        (labelled, 2, r"not class numbers 0 … 1"),
        (line, 3, r"not class numbers 0 … 2"),
        (line, 0, "`ways`"),
    ],
)
def test_errors_name_what_is_wrong(fn, ways, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        from_function(fn, ways=ways)
