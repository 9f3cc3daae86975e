"""Rejects numbers of inner steps whose predictions do not fit in memory."""

from __future__ import annotations

import math

import keras

from meta_tf.algorithms import Algorithm, InnerLoop
from meta_tf.memory import memory
from meta_tf.network.network import Network
from meta_tf.types import Tensors

_ALWAYS = 1000  # up to this many steps are not checked
_A_RECORD = 200  # bytes that TensorFlow needs for a tensor besides its values


def check_steps(algorithm: Algorithm, network: Network, query_x: Tensors, steps: int) -> None:
    """Raises ValueError if the predictions after 0, 1, … `steps` steps do not fit in memory.

    Args:
      algorithm: the algorithm. Without inner steps, it adapts again for each of `steps`, in a graph
        of its own.
      network: the model.
      query_x: the query sets of a batch, [T, Q, ...].
      steps: the last number of inner steps.
    """
    if steps <= _ALWAYS:
        return
    if not isinstance(algorithm, InnerLoop):
        raise ValueError(
            f"`steps` must be at most {_ALWAYS} for {type(algorithm).__name__}, which has no inner "
            f"loop. Received: steps={steps}. Leave it out."
        )
    tasks = keras.tree.flatten(query_x)[0].shape[0]
    inputs = keras.tree.map_structure(
        lambda t: keras.KerasTensor(tuple(t.shape[1:]), dtype=t.dtype.name), query_x
    )
    outputs = math.prod(algorithm.output_spec(network, inputs).shape)
    each = tasks * (4 * outputs + _A_RECORD)
    if steps * each > memory():
        raise ValueError(
            f"`steps` must be at most {memory() // each:.0f} for these tasks, because the "
            f"predictions after every step are kept: {steps * each / 1e9:.0f} GB, and this machine "
            f"has {memory() / 1e9:.0f} GB. Received: steps={steps}. Use fewer steps, or fewer "
            "tasks at a time."
        )
