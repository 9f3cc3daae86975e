"""Draws episodes of classes, their examples and their turns out of uniform numbers."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from meta_tf.tasks.examples import as_tasks, cut_out, drawn_places
from meta_tf.tasks.mapped import MappedExamples
from meta_tf.types import Batch

TURNS = 4  # quarter turns, counter-clockwise as in numpy.rot90


class Sizes(Protocol):
    """How the sizes of tasks are drawn, where each has its own; see `RangeSizes`."""

    @property
    def numbers(self) -> int:
        """How many uniform numbers a task's sizes consume."""

    @property
    def support(self) -> int:
        """The largest support set."""

    @property
    def query(self) -> int:
        """The largest query set."""

    def draw(self, u: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Support and query examples of each class, [T, N]; zeros for classes not there."""


class Sampler(NamedTuple):
    """Draws classes, their examples and their turns from uniform numbers.

    `starts` and `counts` [C] say where in `examples` each class is; with `turn` each
    class is turned at random, the turned copies following one another. With `sizes`, which
    draws them for each task, `ways` is the largest number of classes, and `shots + queries`
    that of a class's examples. With `scale`, uint8 is given as floats from 0 to 1.
    """

    examples: tf.Tensor | MappedExamples
    starts: np.ndarray
    counts: np.ndarray
    ways: int
    shots: int
    queries: int
    turn: bool
    sizes: Sizes | None = None
    scale: bool = True

    def cut_out(self, rows: Any) -> tf.Tensor:
        """The examples at `rows`."""
        return cut_out(self.examples, rows, self.scale)

    @property
    def turns(self) -> int:
        """In how many quarter turns an episode may show an example; 1 for none."""
        return TURNS if self.turn else 1

    def rows(self) -> np.ndarray:
        """Where the part's examples are, class after class, [n]."""
        ranges = zip(self.starts, self.counts, strict=True)
        return np.concatenate([np.arange(start, start + count) for start, count in ranges])

    def of(self, examples: tf.Tensor) -> Sampler:
        """The same draws from other examples: those of `rows`, turn after turn."""
        return self._replace(examples=examples, starts=np.cumsum(self.counts) - self.counts)

    @property
    def copy(self) -> int:
        """How many examples further on the same one is found a quarter turn later."""
        return self.examples.shape[0] // TURNS if self.turn else 0

    def with_turned_classes(self, copy: int) -> Sampler:
        """Each class in each turn a class of its own; `copy` examples lie between two turns."""
        starts = np.concatenate([self.starts + turn * copy for turn in range(TURNS)])
        return self._replace(starts=starts, counts=np.tile(self.counts, TURNS))

    @property
    def numbers(self) -> int:
        """How many uniform numbers an episode consumes."""
        # One for each class to choose from, one for each example to choose from, one per turn.
        return sum(self._parts())

    def _parts(self) -> list[int]:
        for_sizes = 0 if self.sizes is None else self.sizes.numbers
        return [len(self.counts), self.ways * int(self.counts.max()), self.ways, for_sizes]

    def episodes(self, u: tf.Tensor) -> Batch:
        """The episodes of these numbers, [T, E]."""
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
        """The places of the classes that these numbers draw, [T, N]; -1 for one not there."""
        classes = self._classes(u)
        if self.sizes is None:
            return classes
        shots, _ = self.sizes.draw(u[:, -self.sizes.numbers :], tf.gather(self._counts, classes))
        return tf.where(shots > 0, classes, -1)

    @property
    def _counts(self) -> tf.Tensor:
        return tf.constant(self.counts, tf.int32)

    def _classes(self, u: tf.Tensor) -> tf.Tensor:
        # The places of the k smallest of n uniform numbers are k draws from n, none twice.
        return tf.math.top_k(-u[:, : len(self.counts)], self.ways).indices

    def _rows(self, classes: tf.Tensor, for_examples: tf.Tensor) -> tf.Tensor:
        counts = tf.gather(self._counts, classes)[..., tf.newaxis]
        starts = tf.gather(tf.constant(self.starts, tf.int64), classes)[..., tf.newaxis]
        order = tf.reshape(for_examples, [-1, self.ways, int(self.counts.max())])
        drawn = drawn_places(order, counts, self.shots + self.queries)
        return tf.transpose(starts + tf.cast(drawn, tf.int64), [0, 2, 1])

    def _padded(self, rows: tf.Tensor, shots: tf.Tensor, queries: tf.Tensor) -> Batch:
        """Of the rows [T, K + queries, N] those that the sizes [T, N] ask for, and padding."""
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
        """The wanted rows before others: examples [T, size, ...], labels and number of wanted."""
        wanted = tf.reshape(tf.cast(wanted, tf.int32), [rows.shape[0], -1])
        found = tf.reduce_sum(wanted, 1)
        # Of the same numbers `top_k` gives the first ones first.
        chosen = tf.math.top_k(wanted, size).indices
        # Padding repeats the first example: nothing is seen that is not in the task.
        real = tf.range(size) < found[:, tf.newaxis]
        chosen = tf.where(real, chosen, chosen[:, :1])
        flat = tf.reshape(rows, [rows.shape[0], -1])
        x = self.cut_out(tf.gather(flat, chosen, batch_dims=1))
        return x, chosen % self.ways, found
