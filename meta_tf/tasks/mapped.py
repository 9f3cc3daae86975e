"""`MappedExamples`: examples that stay on disk and are read as they are drawn."""

from __future__ import annotations

import dataclasses
import mmap
from typing import Any

import numpy as np
import tensorflow as tf

_FORGET = getattr(mmap, "MADV_DONTNEED", None)  # Windows has none


@dataclasses.dataclass(frozen=True, eq=False)
class MappedExamples:
    """Examples in a memory map, in one or several rotations.

    It behaves as an array of all `turns` rotations, one after another: `shape` is the shape of that
    array, and `gather` takes its rows. Each rotation is a quarter turn more than the one before,
    counter-clockwise as in `numpy.rot90`.
    """

    array: np.memmap
    turns: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array of all rotations."""
        return (self.turns * len(self.array), *self.array.shape[1:])

    @property
    def dtype(self) -> tf.DType:
        """The type of the pixels."""
        return tf.uint8

    def gather(self, rows: Any) -> tf.Tensor:
        """The examples at `rows`, as `tf.gather` returns them for a tensor."""
        examples = tf.numpy_function(self.read, [rows], tf.uint8)
        examples.set_shape([*rows.shape, *self.shape[1:]])
        return examples

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The examples at `rows`, an array of any shape, copied from the map."""
        turn, place = np.divmod(np.reshape(rows, -1), len(self.array))
        examples = self.array[place]
        for turned in range(1, self.turns):
            there = turn == turned
            examples[there] = np.rot90(examples[there], turned, axes=(1, 2))
        pages: Any = self.array.base
        if _FORGET is not None:  # otherwise all data ever read would count as process memory
            pages.madvise(_FORGET)
        return examples.reshape([*np.shape(rows), *self.shape[1:]])
