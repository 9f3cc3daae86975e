"""The optimisers of the inner loop and their learned step sizes, as pure functions.

Keras's optimisers cannot be used here: they keep their state in variables, and assigning a
variable breaks the gradient. Each function computes the same as the Keras optimiser with
that name.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from meta_tf.types import Tensor

OPTIMIZERS = ("sgd", "momentum", "adam")
_BETA_2, _EPSILON = 0.999, 1e-7  # of Adam, as in Keras
LEARNED_RATES = (None, "scalar", "tensor", "tensor_step", "weight")


def initial_slots(optimizer: str, weights: list[Tensor]) -> list[list[Tensor]]:
    """The optimiser's slots before the first step: for each kind, zeros like the weights."""
    kinds = {"sgd": 0, "momentum": 1, "adam": 2}[optimizer]
    return [[tf.zeros_like(w) for w in weights] for _ in range(kinds)]


def update(
    optimizer: str,
    i: int | Tensor,
    weights: list[Tensor],
    gradients: list[Tensor],
    slots: list[list[Tensor]],
    rates: list[float | Tensor],
    *,
    beta_1: float = 0.9,
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """One step of an inner optimiser: `(new weights, new slots)`.

        sgd:       w - α g
        momentum:  m ← β₁ m + g,  w - α m
        adam:      m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,
                   w - α √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε),  t = i + 1

    Args:
      optimizer: `"sgd"`, `"momentum"` or `"adam"`.
      i: the number of the step, from 0.
      weights: the weights to change.
      gradients: their gradients.
      slots: as returned by `initial_slots` or the previous step.
      rates: the step sizes α, one for each weight: a scalar or a tensor of its shape.
      beta_1: decay of the mean gradient.
    """
    if optimizer == "sgd":
        directions = gradients
    elif optimizer == "momentum":
        directions = [beta_1 * m + g for m, g in zip(slots[0], gradients, strict=True)]
        slots = [directions]
    else:
        means = [beta_1 * m + (1 - beta_1) * g for m, g in zip(slots[0], gradients, strict=True)]
        squares = [
            _BETA_2 * v + (1 - _BETA_2) * tf.square(g)
            for v, g in zip(slots[1], gradients, strict=True)
        ]
        slots = [means, squares]
        directions = []
        for m, v in zip(means, squares, strict=True):
            t = tf.cast(i, m.dtype) + 1
            correction = tf.sqrt(1 - _BETA_2**t) / (1 - beta_1**t)
            directions.append(correction * m / (_root(v) + _EPSILON))
    return descend(weights, directions, rates), slots


def descend(
    weights: list[Tensor], directions: list[Tensor], rates: list[float | Tensor]
) -> list[Tensor]:
    """One step down the directions, w - α d, with a rate α for each weight."""
    return [w - _like(w, a) * d for w, a, d in zip(weights, rates, directions, strict=True)]


def initial_rates(
    kind: str | None, rate: float, steps: int, weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Initial meta-weights for learned step sizes.

    Args:
      kind: what is learned: nothing (None), one step size for all (`"scalar"`), one per
        tensor (`"tensor"`), one per tensor and step (`"tensor_step"`) or one per single weight
        (`"weight"`).
      rate: the initial step size.
      steps: the number of inner steps in training.
      weights: the weights that adapt, by path.
    """
    if kind is None:
        return {}
    start = tf.convert_to_tensor(rate, keras.config.floatx())
    if kind == "weight":
        return {f"inner_lr/{path}": tf.fill(w.shape, start) for path, w in weights.items()}
    shape = {"scalar": [], "tensor": [len(weights)], "tensor_step": [max(1, steps), len(weights)]}
    return {"inner_lr": tf.fill(shape[kind], start)}


def rates_at(
    kind: str | None,
    rate: float | Tensor,
    meta: dict[str, Tensor],
    i: int | Tensor,
    paths: list[str],
) -> list[float | Tensor]:
    """The step sizes of step i, one for each of `paths`; later steps use the last learned one."""
    if kind is None:
        return [rate] * len(paths)
    if kind == "weight":
        return [meta[f"inner_lr/{path}"] for path in paths]
    rates = meta["inner_lr"]
    if kind == "scalar":
        return [rates] * len(paths)
    return tf.unstack(rates if kind == "tensor" else row(rates, i))


def row(table: Tensor, i: int | Tensor) -> Tensor:
    """Row i of a table with one row per inner step; the last row for later steps."""
    return table[tf.minimum(i, table.shape[0] - 1)]


def _like(w: Tensor, rate: float | Tensor) -> float | Tensor:
    # TensorFlow converts a Python number to the dtype of `w`; tf.cast would first round to float32.
    return tf.cast(rate, w.dtype) if tf.is_tensor(rate) else rate


def _root(v: Tensor) -> Tensor:
    """√v, with a derivative of 0 at 0, where it would be infinite."""
    positive = v > 0
    return tf.where(positive, tf.sqrt(tf.where(positive, v, tf.ones_like(v))), tf.zeros_like(v))
