"""`repeat`: how often a step is traced. What it computes, the tests of the algorithms show."""

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.algorithms.repeat import repeat


def _convolution(i, x, kernel):
    return tf.nn.conv1d(x[tf.newaxis], kernel[tf.newaxis], 1, "VALID")[0] + tf.cast(i, x.dtype)


def _product(i, x, kernel):
    return x @ kernel + tf.cast(i, x.dtype)  # the same: the convolution's window is 1 wide


@pytest.mark.parametrize(
    ("step", "share", "traced"),
    [(_convolution, False, 1), (_product, True, 1), (_product, False, 1 + 3)],
)
def test_steps_that_keep_tasks_apart_are_traced_once(step, share, traced):
    # Others are traced once to look at their operations, then each.
    calls = []

    def counted(i, x, kernel):
        calls.append(i)
        return step(i, x, kernel)

    def run(x, kernel):
        return repeat(counted, x, kernel, 3, unroll=8, share=share)

    x, kernel = np.random.default_rng(0).normal(size=(2, 2, 2)).astype("float32")
    got = tf.function(run, autograph=False)(tf.constant(x), tf.constant(kernel))
    assert len(calls) == traced
    for i in range(3):
        x = x @ kernel + i
    np.testing.assert_allclose(got, x, rtol=1e-5)
