"""The transformer of `meta_tf.InContext` in JAX, as a pure function of a list of weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.harness.workloads import BLOCKS, HEADS, WIDTH

_EPSILON = 1e-6


class _Dense(NamedTuple):
    kernel: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.kernel + self.bias


class _Norm(NamedTuple):
    scale: jax.Array
    shift: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        mean = x.mean(-1, keepdims=True)
        variance = jnp.square(x - mean).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + _EPSILON) * self.scale + self.shift


class _Block:
    """Pre-norm attention and a two-layer network."""

    def __init__(self, weights: Iterator[jax.Array]):
        def dense() -> _Dense:
            return _Dense(next(weights), next(weights))

        self.query, self.key, self.value, self.output = (dense() for _ in range(4))
        self.wide, self.narrow = dense(), dense()
        self.norm, self.norm_seen, self.norm_wide = (
            _Norm(next(weights), next(weights)) for _ in range(3)
        )

    def __call__(self, x: jax.Array, seen: jax.Array) -> jax.Array:
        """`x` [Q, D] attends to `seen` [S, D]."""
        q = self._by_head(self.query(self.norm(x)))
        seen = self.norm_seen(seen)
        k, v = self._by_head(self.key(seen)), self._by_head(self.value(seen))
        scores = jnp.einsum("qhd,shd->hqs", q, k) * (WIDTH // HEADS) ** -0.5
        mixed = jnp.einsum("hqs,shd->qhd", jax.nn.softmax(scores), v)
        x = x + self.output(mixed.reshape(-1, WIDTH))
        return x + self.narrow(_gelu(self.wide(self.norm_wide(x))))

    def _by_head(self, x: jax.Array) -> jax.Array:
        return x.reshape(-1, HEADS, WIDTH // HEADS)


def in_context(
    weights: Sequence[jax.Array], support_x: jax.Array, support_y: jax.Array, query_x: jax.Array
) -> jax.Array:
    """The predictions [Q, 1] for the queries of one task."""
    w = iter(weights)

    def dense() -> _Dense:
        return _Dense(next(w), next(w))

    first, second, pair1, pair2, query = (dense() for _ in range(5))

    def embedded(x: jax.Array) -> jax.Array:
        return _gelu(second(_gelu(first(x))))

    s = pair2(_gelu(pair1(jnp.concatenate([embedded(support_x), support_y], -1))))
    q = query(embedded(query_x))
    for i in range(BLOCKS):
        if i:
            s = _Block(w)(s, s)
        q = _Block(w)(q, s)
    norm = _Norm(next(w), next(w))
    return dense()(norm(q))


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)
