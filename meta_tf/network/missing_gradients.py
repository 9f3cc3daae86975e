"""Second derivatives that TensorFlow lacks, for Keras activations."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from meta_tf.types import Tensor


def _softsign_grad_grad(op: tf.Operation, upstream: Tensor) -> tuple[Tensor, Tensor]:
    # SoftsignGrad(g, x) = g / (1 + |x|)², for softsign(x) = x / (1 + |x|).
    g, x = op.inputs
    d = 1 + tf.abs(x)
    return upstream / d**2, -2 * upstream * g * tf.sign(x) / d**3


with contextlib.suppress(KeyError):  # it is already registered
    tf.RegisterGradient("SoftsignGrad")(_softsign_grad_grad)
