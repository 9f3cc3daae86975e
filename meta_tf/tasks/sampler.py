"""Draws episodes of classes, their examples and their rotations from uniform numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.tasks.examples import as_tasks, cut_out, drawn_rows, rows_of
from meta_tf.tasks.mapped import MappedExamples
from meta_tf.tasks.meta_dataset import MetaDatasetSizes
from meta_tf.tasks.size_range import RangeSizes
from meta_tf.types import Batch

TURNS = 4  # quarter turns, counter-clockwise as in numpy.rot90


class Sampler(NamedTuple):
    """Draws classes, their examples and their rotations from uniform numbers.

    `starts` and `counts` [C] are the positions and numbers of each class's `examples`. With
    `turn`, each class is rotated at random; its rotated copies follow one another. With `sizes`,
    which draws the sizes of each task, `ways` is the largest number of classes, and
    `shots + queries` the largest number of a class's examples. With `scale`, uint8 is converted to
    floats from 0 to 1.
    """

    examples: tf.Tensor | MappedExamples
    starts: np.ndarray
    counts: np.ndarray
    ways: int
    shots: int
    queries: int
    turn: bool
    sizes: RangeSizes | MetaDatasetSizes | None = None
    scale: bool = True

    def cut_out(self, rows: Any) -> tf.Tensor:
        """The examples at `rows`."""
        return cut_out(self.examples, rows, self.scale)

    @property
    def turns(self) -> int:
        """The number of quarter turns in which an episode can show an example; 1 for none."""
        return TURNS if self.turn else 1

    def rows(self) -> np.ndarray:
        """The indices of the split's examples, one class after another, [n]."""
        return rows_of(self.starts, self.counts)

    def of(self, examples: tf.Tensor) -> Sampler:
        """The same draws from other examples: those of `rows`, one rotation after another."""
        return self._replace(examples=examples, starts=np.cumsum(self.counts) - self.counts)

    @property
    def copy(self) -> int:
        """The distance between an example and its copy a quarter turn later."""
        return self.examples.shape[0] // TURNS if self.turn else 0

    def with_turned_classes(self, copy: int) -> Sampler:
        """Makes each rotation of each class a class; `copy` examples lie between two rotations."""
        starts = np.concatenate([self.starts + turn * copy for turn in range(TURNS)])
        return self._replace(starts=starts, counts=np.tile(self.counts, TURNS))

    def with_ways(self, ways: tuple[int, int]) -> Sampler:
        """The same, with another smallest and largest number of classes."""
        sizes = RangeSizes(ways, (self.shots, self.shots), (self.queries, self.queries))
        if isinstance(self.sizes, RangeSizes):
            sizes = self.sizes._replace(ways=ways)
        return self._replace(ways=ways[1], sizes=sizes.if_they_vary())

    @property
    def numbers(self) -> int:
        """The number of uniform numbers of an episode."""
        # One per class to choose from, one per example to choose from, one per rotation.
        return sum(self._parts())

    def _parts(self) -> list[int]:
        for_sizes = 0 if self.sizes is None else self.sizes.numbers
        return [len(self.counts), self.ways * int(self.counts.max()), self.ways, for_sizes]

    def episodes(self, u: tf.Tensor) -> Batch:
        """The episodes for these numbers, [T, E]."""
        _, for_examples, for_turns, for_sizes = tf.split(u, self._parts(), axis=1)
        classes = self._classes(u)
        rows = self._rows(classes, for_examples)  # [T, K + queries, N]
        if self.turn:
            turns = tf.cast(TURNS * for_turns, tf.int64)[:, tf.newaxis]  # [T, 1, N]
            rows += turns * self.copy
        if self.sizes is not None:
            shots, queries = self.sizes.draw(for_sizes, tf.gather(self._counts, classes))
            return self._padded(rows, shots, queries)
        x = self.cut_out(tf.reshape(rows, [rows.shape[0], -1]))
        labels = tf.broadcast_to(tf.range(self.ways), tf.shape(rows))
        y = tf.reshape(labels, [u.shape[0], -1])
        return as_tasks(x, y, self.shots * self.ways)

    def drawn(self, u: tf.Tensor) -> tf.Tensor:
        """The indices of the classes that these numbers draw, [T, N]; -1 for an absent one."""
        classes = self._classes(u)
        if self.sizes is None:
            return classes
        shots, _ = self.sizes.draw(u[:, -self.sizes.numbers :], tf.gather(self._counts, classes))
        return tf.where(shots > 0, classes, -1)

    @property
    def _counts(self) -> tf.Tensor:
        return tf.constant(self.counts, tf.int32)

    def _classes(self, u: tf.Tensor) -> tf.Tensor:
        # The indices of the k smallest of n uniform numbers are k draws without replacement.
        return tf.math.top_k(-u[:, : len(self.counts)], self.ways).indices

    def _rows(self, classes: tf.Tensor, for_examples: tf.Tensor) -> tf.Tensor:
        counts = tf.gather(self._counts, classes)
        starts = tf.gather(tf.constant(self.starts, tf.int64), classes)
        order = tf.reshape(for_examples, [-1, self.ways, int(self.counts.max())])
        return drawn_rows(order, starts, counts, self.shots + self.queries)

    def _padded(self, rows: tf.Tensor, shots: tf.Tensor, queries: tf.Tensor) -> Batch:
        """The rows of [T, K + queries, N] that the sizes [T, N] select, and padding."""
        assert self.sizes is not None
        place = tf.range(rows.shape[1])[:, tf.newaxis]
        shots, both = shots[:, tf.newaxis], (shots + queries)[:, tf.newaxis]
        x, y, size = self._first(rows, place < shots, self.sizes.support)
        query_x, query_y, query_size = self._first(
            rows, (place >= shots) & (place < both), self.sizes.query
        )
        sizes = {"support_size": size, "query_size": query_size}
        return {"support_x": x, "support_y": y, "query_x": query_x, **sizes}, query_y

    def _first(self, rows: tf.Tensor, wanted: tf.Tensor, size: int) -> tuple[tf.Tensor, ...]:
        """The selected rows before others: examples [T, size, ...], labels and their number."""
        wanted = tf.reshape(tf.cast(wanted, tf.int32), [rows.shape[0], -1])
        found = tf.reduce_sum(wanted, 1)
        # For equal numbers, `top_k` returns the first ones first.
        chosen = tf.math.top_k(wanted, size).indices
        # Padding repeats the first example, so no example from outside the task is used.
        real = tf.range(size) < found[:, tf.newaxis]
        chosen = tf.where(real, chosen, chosen[:, :1])
        flat = tf.reshape(rows, [rows.shape[0], -1])
        x = self.cut_out(tf.gather(flat, chosen, batch_dims=1))
        return x, chosen % self.ways, found
