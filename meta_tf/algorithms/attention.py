"""The blocks of a transformer as pure functions of named weights."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from meta_tf.types import Tensor

_EPSILON = 1e-6  # keeps the normalisation finite if all features of a vector are equal


class Blocks:
    """Pre-norm attention and a two-layer network, for sets of vectors of the same width.

        a = x + attention(norm(x), seen),   block(x) = a + gelu(norm(a) W1 + b1) W2 + b2

    Args:
      width: the size of the vectors, D.
      heads: the number of attention heads that share the width.

    Example:
      >>> blocks = Blocks(width=8, heads=2)
      >>> weights = blocks.weights("self")
      >>> seen = blocks.seen(weights, "self", tf.ones([5, 8]))
      >>> blocks.apply(weights, "self", tf.ones([3, 8]), seen).shape
      TensorShape([3, 8])
    """

    def __init__(self, width: int, heads: int):
        self.width, self.heads = width, heads

    def weights(self, name: str) -> dict[str, Tensor]:
        """Initial values of a block's weights, by name; the names start with the block's."""
        width = self.width
        found: dict[str, Tensor] = {}
        for part in ("query", "key", "value", "output"):
            found |= layer_weights(f"{name}_{part}", width, width)
        found |= layer_weights(f"{name}_wide", width, 2 * width)
        found |= layer_weights(f"{name}_narrow", 2 * width, width)
        for part in ("norm", "norm_seen", "norm_wide"):
            found |= norm_weights(f"{name}_{part}", width)
        return found

    def seen(self, weights: Mapping[str, Tensor], name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and values of the vectors `x` [S, D] for attention, [S, D] each."""
        x = norm(weights, f"{name}_norm_seen", x)
        return linear(weights, f"{name}_key", x), linear(weights, f"{name}_value", x)

    def apply(
        self, weights: Mapping[str, Tensor], name: str, x: Tensor, seen: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Applies the block to vectors `x` [Q, D] that attend to `seen`; returns [Q, D]."""
        query = linear(weights, f"{name}_query", norm(weights, f"{name}_norm", x))
        found = linear(weights, f"{name}_output", self._attention(query, *seen))
        x = x + found
        wide = linear(weights, f"{name}_wide", norm(weights, f"{name}_norm_wide", x))
        return x + linear(weights, f"{name}_narrow", tf.nn.gelu(wide))

    def _attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (self._by_head(t) for t in (query, key, value))  # [H, ..., D / H]
        scale = (self.width // self.heads) ** -0.5
        shares = tf.nn.softmax(scale * tf.matmul(query, key, transpose_b=True))  # [H, Q, S]
        found = tf.transpose(tf.matmul(shares, value), [1, 0, 2])
        return tf.reshape(found, [-1, self.width])

    def _by_head(self, x: Tensor) -> Tensor:
        return tf.transpose(tf.reshape(x, [-1, self.heads, self.width // self.heads]), [1, 0, 2])


def layer_weights(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    """Initial values of a dense layer: Glorot uniform and 0."""
    kernel = keras.initializers.GlorotUniform()((inputs, outputs), dtype=keras.config.floatx())
    bias = tf.zeros([outputs], keras.config.floatx())
    return {f"{name}_kernel": tf.convert_to_tensor(kernel), f"{name}_bias": bias}


def norm_weights(name: str, width: int) -> dict[str, Tensor]:
    """Initial values of a layer normalisation."""
    dtype = keras.config.floatx()
    return {f"{name}_scale": tf.ones([width], dtype), f"{name}_shift": tf.zeros([width], dtype)}


def linear(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Applies a dense layer without an activation."""
    return tf.matmul(x, weights[f"{name}_kernel"]) + weights[f"{name}_bias"]


def norm(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Shifts and scales each vector to mean 0 and variance 1, then by the weights."""
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    x = (x - mean) * tf.math.rsqrt(variance + _EPSILON)
    return x * weights[f"{name}_scale"] + weights[f"{name}_shift"]
