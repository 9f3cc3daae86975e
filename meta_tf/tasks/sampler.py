"""Draws episodes of classes, their examples and their turns out of uniform numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.tasks.examples import as_tasks, cut_out, drawn_places
from meta_tf.types import Batch

TURNS = 4  # quarter turns, counter-clockwise as in numpy.rot90


class Sampler(NamedTuple):
    """Draws classes, their examples and their turns from uniform numbers.

    `starts` and `counts` [C] say where in `examples` each class is; with `turn` each
    class is turned at random, the turned copies following one another.
    """

    examples: tf.Tensor
    starts: np.ndarray
    counts: np.ndarray
    ways: int
    shots: int
    queries: int
    turn: bool

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
        return len(self.counts) + self.ways * int(self.counts.max()) + self.ways

    def episodes(self, u: tf.Tensor) -> Batch:
        """The episodes of these numbers, [T, E]."""
        _, for_examples, for_turns = tf.split(
            u, [len(self.counts), self.ways * int(self.counts.max()), self.ways], axis=1
        )
        rows = self._rows(self.drawn(u), for_examples)  # [T, K + queries, N]
        if self.turn:
            turns = tf.cast(TURNS * for_turns, tf.int64)[:, tf.newaxis]  # [T, 1, N]
            rows += turns * self.copy
        x = cut_out(self.examples, tf.reshape(rows, [rows.shape[0], -1]))
        labels = tf.broadcast_to(tf.range(self.ways), tf.shape(rows))
        y = tf.reshape(labels, [u.shape[0], -1])
        return as_tasks(x, y, self.shots * self.ways)

    def drawn(self, u: tf.Tensor) -> tf.Tensor:
        """The places of the classes that these numbers draw, [T, N]."""
        # The places of the k smallest of n uniform numbers are k draws from n, none twice.
        return tf.math.top_k(-u[:, : len(self.counts)], self.ways).indices

    def _rows(self, classes: tf.Tensor, for_examples: tf.Tensor) -> tf.Tensor:
        counts = tf.gather(tf.constant(self.counts, tf.int32), classes)[..., tf.newaxis]
        starts = tf.gather(tf.constant(self.starts, tf.int64), classes)[..., tf.newaxis]
        order = tf.reshape(for_examples, [-1, self.ways, int(self.counts.max())])
        drawn = drawn_places(order, counts, self.shots + self.queries)
        return tf.transpose(starts + tf.cast(drawn, tf.int64), [0, 2, 1])
