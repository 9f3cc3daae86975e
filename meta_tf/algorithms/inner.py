"""The optimisers of the inner loop, as pure functions.

Keras has none to offer here: its optimisers keep their state in variables, and
assigning a variable breaks the gradient. Each follows its Keras namesake.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

OPTIMIZERS = ("sgd", "momentum", "adam")


def initial_slots(optimizer: str, weights: list[Any]) -> list[Any]:
    """The optimiser's memory before the first step: for each kind, zeros like the weights."""
    kinds = {"sgd": 0, "momentum": 1, "adam": 2}[optimizer]
    return [[tf.zeros_like(w) for w in weights] for _ in range(kinds)]


def update(
    optimizer: str,
    i: Any,
    weights: list[Any],
    gradients: list[Any],
    slots: list[Any],
    rates: list[Any],
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[list[Any], list[Any]]:
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
      slots: as returned by `initial_slots` or the step before.
      rates: the step sizes α, one for each weight, a scalar or of its shape.
      beta_1: decay of the mean gradient.
      beta_2: decay of the mean squared gradient.
      epsilon: keeps a step finite where the gradients are zero.
    """
    if optimizer == "sgd":
        directions = gradients
    elif optimizer == "momentum":
        directions = [beta_1 * m + g for m, g in zip(slots[0], gradients, strict=True)]
        slots = [directions]
    else:
        means = [beta_1 * m + (1 - beta_1) * g for m, g in zip(slots[0], gradients, strict=True)]
        squares = [
            beta_2 * v + (1 - beta_2) * tf.square(g)
            for v, g in zip(slots[1], gradients, strict=True)
        ]
        slots = [means, squares]
        directions = []
        for m, v in zip(means, squares, strict=True):
            t = tf.cast(i, m.dtype) + 1
            correction = tf.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            directions.append(correction * m / (_root(v) + epsilon))
    moved = [w - _like(w, a) * d for w, a, d in zip(weights, rates, directions, strict=True)]
    return moved, slots


def _like(w, rate):
    # A Python number takes on the type of `w` by itself; tf.cast would round it to float32 first.
    return tf.cast(rate, w.dtype) if tf.is_tensor(rate) else rate


def _root(v):
    """√v, whose derivative at 0, infinite by itself, is 0."""
    positive = v > 0
    return tf.where(positive, tf.sqrt(tf.where(positive, v, tf.ones_like(v))), tf.zeros_like(v))
