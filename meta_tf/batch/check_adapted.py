"""The check of what a task has made of the weights: that it is finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Weights


def check_adapted(
    algorithm: Algorithm,
    network: Network,
    before: Weights,
    support: Examples,
    steps: int | None,
    adapted: Weights,
) -> None:
    """Raises ValueError if adapted weights are not finite; it tells after which inner step.

    Args:
      algorithm: how the task was learned.
      network: the model and its loss.
      before: the weights before.
      support: the support set, [S, ...].
      steps: the number of inner steps; the algorithm's own if None.
      adapted: the weights after.
    """
    if all(_finite(t.numpy()) for t in _floats(adapted)):
        return
    last = algorithm.steps_to_evaluate() if steps is None else steps

    def read(weights: Weights) -> Tensor:
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(t)) for t in _floats(weights)])

    def trajectory() -> Tensor:
        return algorithm.trajectory(network, before, support, read, steps=last)

    finite = tf.function(trajectory, autograph=False)().numpy()
    first = int(np.argmin(finite)) if not finite.all() else last
    if first == 0:
        cause = "The learner's weights are not finite themselves: load or train it again."
        if all(_finite(t.numpy()) for t in _floats(before)):
            cause = "The support set's values are too large: scale them as in training."
    else:
        cause = "The inner loop diverges: lower its `inner_lr`, take fewer `steps`, or scale the "
        cause += "support set as in training."
    raise ValueError(
        f"The adapted weights must be finite. Received: weights that are nan or infinite after "
        f"inner step {first} of {last}. {cause}"
    )


def _floats(weights: Weights) -> list[Any]:
    return [t for t in (*weights.model, *weights.state) if t.dtype.is_floating]


def _finite(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all())
