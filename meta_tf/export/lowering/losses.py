"""Cross-entropies, which TensorFlow computes together with their gradients."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import rule
from meta_tf.types import Tensor


@rule("SparseSoftmaxCrossEntropyWithLogits")
def sparse_cross_entropy(op: tf.Operation, logits: Tensor, labels: Tensor) -> list[Any]:
    """-log softmax(logits)[label], and its gradient with respect to the logits."""
    labels = tf.cast(labels, tf.int32)
    return _cross_entropy(logits, tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype))


@rule("SoftmaxCrossEntropyWithLogits")
def cross_entropy(op: tf.Operation, logits: Tensor, target: Tensor) -> list[Any]:
    """-Σ target · log softmax(logits), and its gradient with respect to the logits.

    The target need not sum to 1: the gradient is softmax(logits) · Σ target - target.
    """
    loss, _ = _cross_entropy(logits, target)
    total = tf.reduce_sum(target, -1, keepdims=True)
    return [loss, tf.nn.softmax(logits) * total - target]


def _cross_entropy(logits: Tensor, target: Tensor) -> list[Tensor]:
    loss = -tf.reduce_sum(target * tf.nn.log_softmax(logits), -1)
    return [loss, tf.nn.softmax(logits) - target]
