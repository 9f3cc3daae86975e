"""Examples in batches that a network takes at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.types import Tensors

AT_ONCE = 32  # the batch size of Keras's `predict`


def number_of(x: Any) -> int | None:
    """The number of examples in arrays; None if `x` is something else, or if they differ."""
    arrays = keras.tree.flatten(x)
    if not all(isinstance(a, np.ndarray | tf.Tensor) and len(a.shape) for a in arrays):
        return None
    sizes = {int(a.shape[0]) for a in arrays}
    return sizes.pop() if len(sizes) == 1 else None


def in_parts(x: Tensors, size: int = AT_ONCE) -> Iterator[Tensors]:
    """The examples in batches of `size`, the last one smaller."""
    for i in range(0, number_of(x) or 0, size):
        yield tf.nest.map_structure(lambda t, i=i: t[i : i + size], x)


def map_parts(
    function: Callable[[Tensors], Any], x: Tensors, size: int = AT_ONCE, verbose: Any = 0
) -> Any:
    """The arrays that `function` returns for the examples, in batches of `size`.

    It shows its progress as Keras's `predict` does.
    """
    count = number_of(x) or 0
    if count <= size:
        return function(x)
    found: list[Any] = []
    shown = 1 if verbose == "auto" else verbose
    progress = keras.utils.Progbar(math.ceil(count / size), verbose=shown)
    for number, part in enumerate(in_parts(x, size), 1):  # one at a time in memory
        found.append(function(part))
        progress.update(number)
    return joined(found)


def joined(parts: list[Any]) -> Any:
    """The arrays of several batches as those of one."""
    return keras.tree.map_structure(lambda *p: np.concatenate(p), *parts)
