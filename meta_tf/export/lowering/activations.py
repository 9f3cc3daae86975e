"""Activations, and TensorFlow's gradient operations for them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import rule
from meta_tf.types import Tensor

# SELU is SCALE · x above 0, and SCALE · ALPHA (eˣ - 1) below.
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_SCALE_ALPHA = 1.7580993408473768599402175208123


@rule("BiasAddGrad")
def bias_add(op: tf.Operation, g: Tensor) -> list[Any]:
    """The gradient of a bias: the sum of g over all axes but the channels."""
    return [tf.reduce_sum(g, list(range(g.shape.rank - 1)))]


@rule("ReluGrad")
def relu(op: tf.Operation, g: Tensor, y: Tensor) -> list[Any]:
    """Gradient: g where y > 0, else 0."""
    return [g * tf.sign(tf.nn.relu(y))]


@rule("Relu6Grad")
def relu6(op: tf.Operation, g: Tensor, y: Tensor) -> list[Any]:
    """Gradient: g where 0 < y < 6, else 0."""
    return [tf.where((y > 0) & (y < 6), g, tf.zeros_like(g))]


@rule("LeakyReluGrad")
def leaky_relu(op: tf.Operation, g: Tensor, x: Tensor) -> list[Any]:
    """Gradient: g where x > 0, else α g."""
    return [tf.where(x > 0, g, g * op.get_attr("alpha"))]


@rule("EluGrad")
def elu(op: tf.Operation, g: Tensor, y: Tensor) -> list[Any]:
    """Gradient: g (y + 1) where y < 0, as the derivative of eˣ - 1 is eˣ = y + 1; else g."""
    return [tf.where(y < 0, g * (y + 1), g)]


@rule("Selu")
def selu(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: s max(x, 0) + s α (exp(min(x, 0)) - 1), with s α as one number."""
    return [_SELU_SCALE * tf.nn.relu(x) + _SELU_SCALE_ALPHA * (tf.exp(-tf.nn.relu(-x)) - 1)]


@rule("SeluGrad")
def selu_gradient(op: tf.Operation, g: Tensor, y: Tensor) -> list[Any]:
    """Gradient: g (y + s α) where y < 0, else g s."""
    return [g * tf.where(y < 0, y + _SELU_SCALE_ALPHA, _SELU_SCALE * tf.ones_like(y))]


@rule("Softplus")
def softplus(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: log(1 + eˣ) as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    return [tf.nn.relu(x) + tf.math.log(1 + tf.exp(-tf.abs(x)))]


@rule("SoftplusGrad")
def softplus_gradient(op: tf.Operation, g: Tensor, x: Tensor) -> list[Any]:
    """Gradient: g / (1 + exp(-x))."""
    return [g * tf.sigmoid(x)]


@rule("Softsign")
def softsign(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: x / (1 + |x|)."""
    return [x / (1 + tf.abs(x))]


@rule("SoftsignGrad")
def softsign_gradient(op: tf.Operation, g: Tensor, x: Tensor) -> list[Any]:
    """Gradient: g / (1 + |x|)²."""
    d = 1 + tf.abs(x)
    return [g / (d * d)]


@rule("TanhGrad")
def tanh(op: tf.Operation, y: Tensor, g: Tensor) -> list[Any]:
    """Gradient: g (1 - y²), for y = tanh x."""
    return [g * (1 - y * y)]


@rule("SigmoidGrad")
def sigmoid(op: tf.Operation, y: Tensor, g: Tensor) -> list[Any]:
    """Gradient: g y (1 - y), for y = 1 / (1 + exp(-x))."""
    return [g * y * (1 - y)]
