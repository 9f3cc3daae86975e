"""`check_source` finds what is wrong with a source, and nothing wrong with a right one."""

import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.tasks import Source, Split
from meta_tf.testing import check_source
from tests.marks import slow


def lines(u, slope=None):
    """Straight lines through the origin, of four points, from the numbers [T, 9]."""
    slope = u[:, :1] if slope is None else slope
    x = u[:, 1:9, None]
    y = slope[:, None] * x
    return {"support_x": x[:, :4], "support_y": y[:, :4], "query_x": x[:, 4:]}, y[:, 4:]


def source(episodes=lines, streams=(0, 1, 2), kind="regression", **options):
    parts = [Split(episodes, 9, stream=stream) for stream in streams]
    return Source(kind, parts, shots=4, queries=4, **options)


@pytest.mark.parametrize(
    "right",
    [
        slow(source),
        lambda: meta_tf.tasks.from_arrays(
            np.random.default_rng(0).normal(size=[60, 2]), np.arange(60) % 12, ways=2, queries=2
        ),
    ],
    ids=["lines", "classes"],
)
def test_right_sources_pass(right):
    check_source(right())


def of_the_batch(u):
    return lines(u, tf.reduce_mean(u[:, :1], 0, keepdims=True) + tf.zeros_like(u[:, :1]))


def not_finite(u):
    return lines(u, tf.math.log(u[:, :1] - 1.0))


def labels_from_one(u):
    x, y = lines(u)
    one = tf.ones(tf.shape(y)[:2], tf.int32)
    return {**x, "support_y": one}, one + 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda: source(of_the_batch), "size of its batch"),
        slow(lambda: source(not_finite), "must be finite"),
        (lambda: source(streams=(0, 1, 1)), "valid and test must give different episodes"),
        slow(
            lambda: source(labels_from_one, kind="classification", ways=2),
            r"class numbers 0 … 1. Received: int32 from 2 to 2",
        ),
    ],
    ids=["of the batch", "not finite", "one stream", "labels"],
)
def test_what_is_wrong_is_named(wrong, named):
    with pytest.raises(AssertionError, match=named):
        check_source(wrong())
