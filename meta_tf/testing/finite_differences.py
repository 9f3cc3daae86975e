"""Meta-gradients compared with finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Weights

_STEP = 1e-5  # small, so that no relu bends on the way


def wiggled(weights: Weights, amount: float = 0.3, seed: int = 1) -> Weights:
    """The weights, moved at random: biases off 0 and scales off 1, where they would hide errors."""
    rng = np.random.default_rng(seed)

    def move(w: Tensor) -> Tensor:
        return w + amount * rng.standard_normal(w.shape) if w.dtype.is_floating else w

    meta = {
        name: w * tf.constant(rng.uniform(0.5, 1.5, w.shape)) for name, w in weights.meta.items()
    }
    return weights._replace(model=[move(w) for w in weights.model], meta=meta)


def meta_gradient_error(
    algorithm: Algorithm,
    network: Network,
    weights: Weights,
    support: Examples,
    query: Examples,
    directions: int = 2,
) -> float:
    """How far `algorithm.meta_gradients` is from the slope of `algorithm.task_loss`, relatively.

    In a random direction d of length 1 the slope <g, d> of a gradient of n numbers is
    about |g| / √n, which is therefore the unit. The slope is taken from four points,

        (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12 h,

    whose error is of the order h⁴.
    """
    loss_at, gradient_at = _compiled(algorithm, network, weights, support, query)
    start = np.concatenate([np.ravel(w) for w in _flat(algorithm, network, weights)])
    gradient = gradient_at(start).numpy()
    unit = np.linalg.norm(gradient) / np.sqrt(gradient.size)
    if not unit > 0:
        raise AssertionError(
            "The meta-gradient is zero: `task_loss` depends on nothing that is learned, or "
            "tf.stop_gradient cuts it off."
        )
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(directions):
        d = rng.standard_normal(gradient.size)
        d /= np.linalg.norm(d)
        at = {k: float(loss_at(start + k * _STEP * d)) for k in (-2, -1, 1, 2)}
        slope = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * _STEP)
        errors.append(abs(slope - gradient @ d) / unit)
    return max(errors)


def _compiled(
    algorithm: Algorithm, network: Network, weights: Weights, support: Examples, query: Examples
) -> tuple[Callable[[np.ndarray], Tensor], Callable[[np.ndarray], Tensor]]:
    """The loss of a task, and its gradient, as functions of one vector of all that is learned."""
    learned = [name for name in weights.meta if name not in algorithm.moving(network)]
    shapes = [w.shape for w in _flat(algorithm, network, weights)]
    sizes = [s.num_elements() for s in shapes]
    spec = tf.TensorSpec([sum(sizes)], tf.float64)

    def unflatten(vector: Tensor) -> Weights:
        parts = tf.split(vector, sizes)
        parts = [tf.reshape(p, s) for p, s in zip(parts, shapes, strict=True)]
        count = len(weights.model)
        own = dict(zip(learned, parts[count:], strict=True))
        return Weights(parts[:count], weights.state, {**weights.meta, **own})

    @tf.function(autograph=False, input_signature=[spec])
    def loss_at(vector: Tensor) -> Tensor:
        return algorithm.task_loss(network, unflatten(vector), support, query)[0]

    @tf.function(autograph=False, input_signature=[spec])
    def gradient_at(vector: Tensor) -> Tensor:
        result = algorithm.meta_gradients(network, unflatten(vector), support, query)
        flat = [*result.gradients, *(result.meta_gradients[name] for name in learned)]
        return tf.concat([tf.reshape(g, [-1]) for g in flat], 0)

    return loss_at, gradient_at


def _flat(algorithm: Algorithm, network: Network, weights: Weights) -> list[Tensor]:
    """What is learned: all but what only moves in training."""
    moving = algorithm.moving(network)
    return [*weights.model, *(w for name, w in weights.meta.items() if name not in moving)]
