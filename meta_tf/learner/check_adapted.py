"""Checks that the weights of a task are finite after adaptation."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.network.finite import all_finite
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Weights


def not_finite(
    algorithm: Algorithm, network: Network, before: Weights, support: Examples, steps: int | None
) -> ValueError:
    """The error for a task whose adapted weights are nan or infinite; it names the inner step.

    Args:
      algorithm: the algorithm that learned the task.
      network: the model and its loss.
      before: the weights before adaptation.
      support: the support set, [S, ...].
      steps: the number of inner steps; the algorithm's own if None.
    """
    last = algorithm.steps_to_evaluate() if steps is None else steps

    def trajectory() -> Tensor:
        return algorithm.trajectory(network, before, support, all_finite, steps=last)

    finite = tf.function(trajectory, autograph=False)().numpy()
    first = int(np.argmin(finite)) if not finite.all() else last
    if first == 0:
        cause = "The learner's own weights are not finite: load or train it again."
        if all_finite(before):
            cause = "The support set's values are too large: scale them as in training."
    else:
        cause = "The inner loop diverges: lower its `inner_lr`, use fewer `steps`, or scale the "
        cause += "support set as in training."
    return ValueError(
        f"The adapted weights must be finite. Received: weights that are nan or infinite after "
        f"inner step {first} of {last}. {cause}"
    )
