"""Compares meta-gradients with finite differences, in float64."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Weights

_STEP = 1e-5  # small, so that no ReLU changes its side


def meta_gradient_error(
    algorithm: Algorithm,
    network: Network,
    weights: Weights,
    support: Examples,
    query: Examples,
    directions: int = 2,
) -> float:
    """The relative difference of the gradient in `algorithm.meta_gradients` from its loss's slope.

    In a random direction d of length 1, the slope <g, d> of a gradient of n numbers is
    about |g| / √n, which is therefore the unit. The slope is computed from four points,

        (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12 h,

    whose error is of the order h⁴.
    """
    learned = [name for name in weights.meta if name not in algorithm.moving(network)]
    values = [*weights.model, *(weights.meta[name] for name in learned)]
    sizes = [w.shape.num_elements() for w in values]

    # One function of a vector of all learned values: tracing takes much longer than running.
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([sum(sizes)], tf.float64)])
    def at(vector: Tensor) -> tuple[Tensor, Tensor]:
        parts = zip(tf.split(vector, sizes), values, strict=True)
        moved = [tf.reshape(part, w.shape) for part, w in parts]
        count = len(weights.model)
        own = dict(zip(learned, moved[count:], strict=True))
        there = Weights(moved[:count], weights.state, {**weights.meta, **own})
        result = algorithm.meta_gradients(network, there, support, query)
        flat = [*result.gradients, *(result.meta_gradients[name] for name in learned)]
        return result.loss, tf.concat([tf.reshape(g, [-1]) for g in flat], 0)

    start = np.concatenate([np.ravel(w) for w in values])
    gradient = at(start)[1].numpy()
    unit = np.linalg.norm(gradient) / np.sqrt(gradient.size)
    if not unit > 0:
        raise AssertionError(
            "The meta-gradient is zero: `task_loss` depends on no learned weight, or "
            "tf.stop_gradient cuts it off."
        )
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(directions):
        d = rng.standard_normal(gradient.size)
        d /= np.linalg.norm(d)
        loss = {k: float(at(start + k * _STEP * d)[0]) for k in (-2, -1, 1, 2)}
        slope = (8 * (loss[1] - loss[-1]) - (loss[2] - loss[-2])) / (12 * _STEP)
        errors.append(abs(slope - gradient @ d) / unit)
    return max(errors)
