"""Random numbers for layers that are the same with and without XLA.

TensorFlow builds floats in [0, 1) from the lowest bits of a random integer, XLA from the highest
bits, and with other generators: dropout masks would depend on how a step runs. The integers of
the Philox generator are the same everywhere. Therefore, while a network is traced, uniform
numbers are built from these, in the way that TensorFlow does it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor

PHILOX = "philox"
_MANTISSA = {tf.float16: 10, tf.float32: 23}  # bits of each type
_uniform = tf.random.stateless_uniform


@contextlib.contextmanager
def same_random_numbers() -> Iterator[None]:
    """Makes dropout and uniform numbers of layers inside the `with` depend only on the seed.

    Normal numbers are not changed: XLA computes them with another formula.
    """
    dropout = tf.nn.experimental.stateless_dropout
    tf.nn.experimental.stateless_dropout = _dropout
    tf.random.stateless_uniform = uniform
    try:
        yield
    finally:
        tf.nn.experimental.stateless_dropout = dropout
        tf.random.stateless_uniform = _uniform


def uniform(
    shape: Any,
    seed: Tensor,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = tf.float32,
    name: str | None = None,
    alg: str = PHILOX,
) -> Tensor:
    """Like `tf.random.stateless_uniform`, always with its numbers without XLA.

    Example:
      >>> numbers = uniform([2], seed=tf.constant([1, 2]))
      >>> bool(tf.reduce_all(numbers == tf.random.stateless_uniform([2], [1, 2])))
      True
    """
    dtype = tf.as_dtype(dtype)
    if dtype not in (*_MANTISSA, tf.float64):
        return _uniform(shape, seed, minval, maxval, dtype, name, alg)
    low, high = tf.cast(minval, dtype), tf.cast(1 if maxval is None else maxval, dtype)
    return _fractions(shape, seed, dtype) * (high - low) + low


def _fractions(shape: Any, seed: Tensor, dtype: Any) -> Tensor:
    """Numbers in [0, 1)."""
    if dtype == tf.float64:  # from 20 bits of the first integer and all of the second
        pair = _uniform(shape, seed, None, None, tf.uint64, alg=PHILOX)
        first = tf.bitwise.bitwise_and(pair, tf.constant(2**20 - 1, tf.uint64))
        second = tf.bitwise.right_shift(pair, tf.constant(32, tf.uint64))
        return (tf.cast(first, dtype) + tf.cast(second, dtype) * 2.0**-32) * 2.0**-20
    bits = _MANTISSA[dtype]
    whole = _uniform(shape, seed, None, None, tf.uint32, alg=PHILOX)
    mantissa = tf.bitwise.bitwise_and(whole, tf.constant(2**bits - 1, tf.uint32))
    return tf.cast(tf.cast(mantissa, tf.float32) * 2.0**-bits, dtype)


def _dropout(
    x: Tensor,
    rate: Any,
    seed: Tensor,
    rng_alg: Any = None,
    noise_shape: Any = None,
    name: str | None = None,
) -> Tensor:
    """Like `tf.nn.experimental.stateless_dropout`."""
    del rng_alg
    sampler = functools.partial(uniform, seed=seed)
    return tf.nn.experimental.general_dropout(x, rate, sampler, noise_shape, name)
