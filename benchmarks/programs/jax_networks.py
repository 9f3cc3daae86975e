"""The networks in JAX, as pure functions of a list of weights in Keras's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.harness.workloads import HEADS, NORM_EPSILON, SEQUENCE, UNITS, Work

_Weights = Sequence[jax.Array]
_State = tuple[jax.Array, jax.Array]  # of an LSTM


def network(work: Work, settings: dict) -> Callable[..., jax.Array]:
    """The function (weights, x [B, ...]) -> outputs [B, ...]."""
    if work.network == "mlp":
        return mlp
    if work.network == "lstm":
        return partial(lstm, unroll=settings.get("unroll", 1))
    if work.network == "transformer":
        return transformer
    convolve = _convolve_by_im2col if settings.get("im2col") else _convolve
    return partial(conv4, convolve=convolve, pool=work.network == "conv4_pool")


def loss(work: Work) -> Callable[..., jax.Array]:
    """The function (outputs, targets) -> mean loss."""
    return _squared_error if work.regression else _cross_entropy


def mlp(w: _Weights, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(x @ w[0] + w[1])
    x = jax.nn.relu(x @ w[2] + w[3])
    return x @ w[4] + w[5]


def conv4(w: _Weights, x: jax.Array, convolve: Callable[..., jax.Array], pool: bool) -> jax.Array:
    for i in range(0, 12, 3):
        x = convolve(x, w[i], 1 if pool else 2)
        x = jax.nn.relu(_normalized(x, (0, 1, 2), w[i + 1], w[i + 2]))
        x = _max_pool(x) if pool else x
    return x.mean((1, 2)) @ w[12] + w[13]  # one pixel remains after four poolings


def lstm(w: _Weights, x: jax.Array, unroll: int) -> jax.Array:
    def step(carry: _State, now: jax.Array) -> tuple[_State, None]:
        h, c = carry
        i, f, g, o = jnp.split(now + h @ w[1], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    start = jnp.zeros([x.shape[0], UNITS])
    inputs = jnp.swapaxes(x @ w[0] + w[2], 0, 1)
    (h, _), _ = jax.lax.scan(step, (start, start), inputs, unroll=min(unroll, SEQUENCE[0]))
    return h @ w[3] + w[4]


def transformer(w: _Weights, x: jax.Array) -> jax.Array:
    x = x @ w[0] + w[1]
    x = _normalized(x + _attention(w[2:10], x), (-1,), w[10], w[11])
    x = _normalized(x + jax.nn.relu(x @ w[12] + w[13]) @ w[14] + w[15], (-1,), w[16], w[17])
    return x.mean(1) @ w[18] + w[19]


def _attention(w: _Weights, x: jax.Array) -> jax.Array:
    q, k, v = (jnp.einsum("bld,dhk->blhk", x, w[i]) + w[i + 1] for i in (0, 2, 4))
    scores = jnp.einsum("bqhk,bshk->bhqs", q, k) * (UNITS // HEADS) ** -0.5
    mixed = jnp.einsum("bhqs,bshk->bqhk", jax.nn.softmax(scores), v)
    return jnp.einsum("bqhk,hkd->bqd", mixed, w[6]) + w[7]


def _convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=numbers
    )


def _convolve_by_im2col(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    height, width = (-(-n // stride) for n in x.shape[1:3])
    pads = [_same_padding(n, stride) for n in x.shape[1:3]]
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)])
    patches = [
        x[:, i : i + stride * height : stride, j : j + stride * width : stride]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(patches, -1) @ kernel.reshape(-1, kernel.shape[-1])


def _same_padding(size: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    # At least as much as the slices need; the excess is never used.
    return total // 2, total - total // 2 + stride - 1


def _max_pool(x: jax.Array) -> jax.Array:
    # As a maximum over slices, which XLA fuses, forward and back; a tie is between zeros,
    # and ReLU lets no gradient through there.
    height, width = (2 * (n // 2) for n in x.shape[1:3])
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def _normalized(
    x: jax.Array, axes: tuple[int, ...], scale: jax.Array, shift: jax.Array
) -> jax.Array:
    mean = x.mean(axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axes, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + NORM_EPSILON) * scale + shift


def _squared_error(outputs: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.square(outputs - y).mean()


def _cross_entropy(outputs: jax.Array, y: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], -1)
    return -chosen.mean()
