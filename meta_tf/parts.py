"""Examples in batches that a network takes at a time."""

from __future__ import annotations

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
    if (number_of(x) or 0) <= size:
        return function(x)
    parts, found = list(in_parts(x, size)), []
    progress = keras.utils.Progbar(len(parts), verbose=1 if verbose == "auto" else verbose)
    for number, part in enumerate(parts, 1):
        found.append(function(part))
        progress.update(number)
    return joined(found)


def joined(parts: list[Any]) -> Any:
    """The arrays of several batches as those of one."""
    return keras.tree.map_structure(lambda *p: np.concatenate(p), *parts)
