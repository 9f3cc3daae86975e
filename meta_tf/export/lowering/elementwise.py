"""Elementwise operations, and those that return their inputs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.export.lowering.rules import rule
from meta_tf.types import Tensor


@rule("IdentityN")
def identities(op: tf.Operation, *xs: Tensor) -> list[Any]:
    """Returns the tensors unchanged."""
    return list(xs)


@rule("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot")
def identity(op: tf.Operation, x: Tensor) -> list[Any]:
    """Returns the tensor unchanged: gradients are already in the graph, nothing is checked."""
    return [x]


@rule("ShapeN")
def shapes(op: tf.Operation, *xs: Tensor) -> list[Any]:
    """The shape of each tensor."""
    return [tf.shape(x, out_type=op.outputs[0].dtype) for x in xs]


@rule("Reciprocal", "Inv")
def reciprocal(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: 1 / x."""
    return [1 / x]


@rule("ReciprocalGrad", "InvGrad")
def reciprocal_gradient(op: tf.Operation, y: Tensor, g: Tensor) -> list[Any]:
    """Gradient: -g y², for y = 1 / x."""
    return [-g * y * y]


@rule("SqrtGrad")
def sqrt_gradient(op: tf.Operation, y: Tensor, g: Tensor) -> list[Any]:
    """Gradient: g / (2 y), for y = √x."""
    return [0.5 * g / y]


@rule("RsqrtGrad")
def rsqrt_gradient(op: tf.Operation, y: Tensor, g: Tensor) -> list[Any]:
    """Gradient: -g y³ / 2, for y = 1 / √x."""
    return [-0.5 * g * y * y * y]


@rule("DivNoNan")
def divided_or_zero(op: tf.Operation, a: Tensor, b: Tensor) -> list[Any]:
    """Value: a / b, and 0 where b = 0."""
    some = tf.not_equal(b, 0)
    quotient = a / tf.where(some, b, tf.ones_like(b))
    return [tf.where(some, quotient, tf.zeros_like(quotient))]


@rule("Xdivy")
def divided_unless_zero(op: tf.Operation, x: Tensor, y: Tensor) -> list[Any]:
    """Value: x / y, and 0 where x = 0."""
    return [tf.where(tf.equal(x, 0), tf.zeros_like(x), x / y)]


@rule("MulNoNan")
def product_unless_zero(op: tf.Operation, x: Tensor, y: Tensor) -> list[Any]:
    """Value: x y, and 0 where y = 0, even if x is not finite."""
    product = x * y
    return [tf.where(tf.equal(y, 0), tf.zeros_like(product), product)]


@rule("Log1p")
def log1p(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: log(1 + x)."""
    return [tf.math.log(1 + x)]


@rule("Expm1")
def expm1(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: eˣ - 1."""
    return [tf.exp(x) - 1]


@rule("Erf")
def erf(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: erf x, from a series."""
    return [_erf(x)]


@rule("Erfc")
def erfc(op: tf.Operation, x: Tensor) -> list[Any]:
    """Value: 1 - erf x."""
    return [1 - _erf(x)]


def _erf(x: Tensor) -> Tensor:
    """Abramowitz and Stegun 7.1.26: exact to 1.5e-7, about the precision of float32."""
    size = tf.abs(x)
    t = 1 / (1 + 0.3275911 * size)
    series = tf.zeros_like(x)
    for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + a) * t
    return tf.sign(x) * (1 - series * tf.exp(-size * size))


@rule("Sub")
def difference(op: tf.Operation, a: Tensor, b: Tensor) -> list[Any]:
    """Value: a - b, as a + (-1) b if a is a constant or a weight, which becomes one.

    LiteRT's converter moves a reshape out of a difference, constant - reshape(b), and then
    flips the sign: the first inner step would start from -w.
    """
    constant = a.op.type in ("Const", "Placeholder") and a.dtype.is_floating
    return [a + b * tf.constant(-1, b.dtype) if constant else a - b]
