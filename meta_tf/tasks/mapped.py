"""`MappedExamples`: examples that stay on disk, and are read as they are drawn."""

from __future__ import annotations

import dataclasses
import mmap
from typing import Any

import numpy as np
import tensorflow as tf

_FORGET = getattr(mmap, "MADV_DONTNEED", None)  # Windows has none


@dataclasses.dataclass(frozen=True, eq=False)
class MappedExamples:
    """Examples in a memory map, in one quarter turn or in several.

    They stand in for an array of all turns, one turn after another: `shape` is that array's,
    and `gather` takes its rows.

    Args:
      array: the examples, uint8, [n, ...].
      turns: in how many quarter turns, counter-clockwise as in `numpy.rot90`, each is there.
    """

    array: np.memmap
    turns: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the array of all turns."""
        return (self.turns * len(self.array), *self.array.shape[1:])

    @property
    def dtype(self) -> tf.DType:
        """That of pixels."""
        return tf.uint8

    def gather(self, rows: Any) -> tf.Tensor:
        """The examples at `rows`, as `tf.gather` gives those of a tensor."""
        examples = tf.numpy_function(self.read, [rows], tf.uint8)
        examples.set_shape([*rows.shape, *self.shape[1:]])
        return examples

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The examples at `rows`, an array of any shape; they are copied out of the map."""
        turn, place = np.divmod(np.reshape(rows, -1), len(self.array))
        examples = self.array[place]
        for turned in range(1, self.turns):
            there = turn == turned
            examples[there] = np.rot90(examples[there], turned, axes=(1, 2))
        pages: Any = self.array.base
        if _FORGET is not None:  # else all that was ever read would count as this process's memory
            pages.madvise(_FORGET)
        return examples.reshape([*np.shape(rows), *self.shape[1:]])
