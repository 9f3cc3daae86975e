"""Random numbers of layers that are the same with and without XLA.

TensorFlow chooses a generator by the device, and takes another one where XLA compiles: the
masks of dropout would depend on how a step is run. While a network is traced here, its layers
draw by Philox, which gives the same bits everywhere.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import tensorflow as tf

PHILOX = "philox"


@contextlib.contextmanager
def same_random_numbers() -> Iterator[None]:
    """Makes what layers draw inside the `with` depend on the seed alone.

    Dropout and its relatives, and uniform numbers. Normal ones are made of the same bits, by a
    formula that XLA rounds differently.
    """
    dropout, uniform = tf.nn.experimental.stateless_dropout, tf.random.stateless_uniform
    normal = tf.random.stateless_normal
    tf.nn.experimental.stateless_dropout = functools.partial(dropout, rng_alg=PHILOX)
    tf.random.stateless_uniform = functools.partial(uniform, alg=PHILOX)
    tf.random.stateless_normal = functools.partial(normal, alg=PHILOX)
    try:
        yield
    finally:
        tf.nn.experimental.stateless_dropout = dropout
        tf.random.stateless_uniform, tf.random.stateless_normal = uniform, normal
