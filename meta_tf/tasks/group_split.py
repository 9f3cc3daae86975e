"""A split of a source whose tasks are groups: a patient, a speaker, a vehicle."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_integer
from meta_tf.tasks.examples import as_tasks, cut_out, drawn_rows, places_of, rows_of
from meta_tf.tasks.split import Split, uniforms
from meta_tf.types import Batch

_MOST_TASKS = 10**7  # of `whole_groups`, which lists all of them


class Cells(NamedTuple):
    """Examples sorted by group, within a group by class, within a class by time.

    `x`: [n, ...], `y`: [n, D] targets, or [n] labels.
    `starts`, `counts`: [G, N], the position and number of each group's examples of each class; N
    is 1 for regression.
    """

    x: tf.Tensor
    y: tf.Tensor
    starts: np.ndarray
    counts: np.ndarray

    def of_groups(self, groups: Sequence[int]) -> Cells:
        """The same examples, for some of the groups."""
        return self._replace(starts=self.starts[groups], counts=self.counts[groups])


class GroupSplit(Split):
    """Tasks of one group each: an endless stream of random ones, or every group as a whole.

    Args:
      cells: the split's examples.
      groups: the names of the groups, in the order of `cells`.
      shots, queries: the number of examples of each class of a task in `batches`.
      share: the fraction of a group's examples in the support set of `whole_groups`; None for
        `shots` examples.
      first: whether the support set is the earliest examples instead of random ones.
      stream: the index of the split's independent random stream.
    """

    def __init__(
        self,
        cells: Cells,
        groups: Sequence[str],
        *,
        shots: int,
        queries: int,
        share: float | None,
        first: bool,
        stream: int,
    ):
        self.groups = list(groups)
        self._cells, self._shots, self._queries = cells, shots, queries
        self._share, self.first = share, first
        # One number to choose the group, and one per example to choose from.
        numbers = 1 + cells.counts.shape[1] * int(cells.counts.max())
        super().__init__(self._drawn, numbers, stream=stream)

    def whole_groups(self, draws: int = 1) -> WholeGroups:
        """Every group as a task, whose queries are all examples outside its support set.

        Use it with `meta_tf.evaluate`, to evaluate on all examples. Groups differ in size, and all
        tasks of a batch have one shape, so each batch contains one task; each group has the same
        weight, whatever its size.

        Args:
          draws: the number of tasks per group, each with its own support set. Must be 1 if the
            support set is the earliest examples.

        Returns:
          An object with `batches(tasks, seed)`, like a split: a finite stream, `len(result)` tasks.

        Raises:
          ValueError: if `draws` is below 1, or above 1 for support sets that are not random.

        Example:
          >>> y = np.random.default_rng(0).normal(size=[300])
          >>> tasks = meta_tf.tasks.from_groups(y[:, None], y, np.arange(300) % 30)
          >>> patients = tasks.test.whole_groups(draws=2)
          >>> len(patients)
          12
        """
        check_integer("draws", draws, at_least=1)
        if draws > 1 and self.first:
            raise ValueError(
                "`draws` must be 1 if the support set is a group's earliest examples: another "
                f"draw would be the same. Received: {draws}."
            )
        if draws * len(self.groups) > _MOST_TASKS:
            raise ValueError(
                f"`draws` can make at most {_MOST_TASKS} tasks of the {len(self.groups)} groups. "
                f"Received: {draws}."
            )
        return WholeGroups(self, draws)

    def examples(self) -> tuple[np.ndarray, np.ndarray]:
        """All examples of the split's groups.

        Returns:
          Inputs [n, ...], and targets [n, D] or labels [n], as arrays.

        Example:
          >>> y = np.arange(300.0)
          >>> tasks = meta_tf.tasks.from_groups(y[:, None], y, np.arange(300) % 30)
          >>> [len(split.examples()[0]) for split in (tasks.train, tasks.valid, tasks.test)]
          [190, 50, 60]
        """
        rows = rows_of(self._cells.starts, self._cells.counts)
        return cut_out(self._cells.x, rows).numpy(), tf.gather(self._cells.y, rows).numpy()

    def by_group(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The examples of each group, `(x [n, ...], y [n, D] or [n])`, in the order of `groups`.

        Example:
          >>> y = np.arange(300.0)
          >>> tasks = meta_tf.tasks.from_groups(y[:, None], y, np.arange(300) % 30)
          >>> x, y = tasks.test.by_group()[0]
          >>> x.shape, y.shape
          ((10, 1), (10, 1))
        """
        ends = np.cumsum(self._cells.counts.sum(1))[:-1]
        x, y = (np.split(values, ends) for values in self.examples())
        return list(zip(x, y, strict=True))

    def _drawn(self, u: tf.Tensor) -> Batch:
        """Tasks [T] from uniform numbers [T, E]: each is a group and some of its examples."""
        cells = self._cells
        groups = tf.cast(u[:, 0] * cells.counts.shape[0], tf.int32)
        classes, most = cells.counts.shape[1], int(cells.counts.max())
        counts = tf.gather(tf.constant(cells.counts, tf.int32), groups)
        starts = tf.gather(tf.constant(cells.starts, tf.int32), groups)
        order = tf.reshape(u[:, 1:], [-1, classes, most])
        if self.first:  # before all others, in their own order
            place = tf.range(most)
            order = tf.where(place < self._shots, tf.cast(place, tf.float32) - most, order)
        rows = drawn_rows(order, starts, counts, self._shots + self._queries)
        rows = tf.reshape(rows, [u.shape[0], -1])
        return _task(cells, rows, self._shots * classes)

    def whole(self, group: int, u: np.ndarray) -> Batch:
        """One group as a batch of one task; `u` are uniform numbers, one per example."""
        support, query, used = [], [], 0
        for start, count in zip(self._cells.starts[group], self._cells.counts[group], strict=True):
            order = np.arange(count) if self.first else np.argsort(u[used : used + count])
            shots = self._shots if self._share is None else shots_of(self._share, count)
            support.append(start + order[:shots])
            query.append(start + np.sort(order[shots:]))
            used += count
        rows = np.concatenate([*support, *query])[np.newaxis]
        return _task(self._cells, tf.constant(rows, tf.int32), sum(map(len, support)))


def joined(parts: Sequence[GroupSplit], without: Collection[str]) -> GroupSplit:
    """The groups of several splits of one source in alphabetical order, except some."""
    last, names = parts[-1], [name for part in parts for name in part.groups]
    made = GroupSplit(
        *places_of([part._cells for part in parts], names, without),
        shots=last._shots,
        queries=last._queries,
        share=last._share,
        first=last.first,
        stream=last._stream,
    )
    made.columns = last.columns
    return made


class WholeGroups:
    """The groups of a split one after another; see `GroupSplit.whole_groups`."""

    def __init__(self, split: GroupSplit, draws: int):
        self._split = split
        self.number = len(split.groups)  # of groups
        self.groups = split.groups * draws  # those of the tasks
        self.columns = split.columns

    def __len__(self) -> int:
        return len(self.groups)

    def batches(self, tasks: int = 1, seed: int = 0) -> Iterator[Batch]:
        """Gives every group once per draw, in the order of `groups`, as a batch `(x, query_y)`.

        `tasks` is ignored, as each batch has one task; `seed` chooses the support sets.
        """
        split, numbers = self._split, self._split._numbers
        for episode in range(len(self)):
            with tf.device("CPU:0"):
                u = uniforms(seed, split._stream, tf.constant(episode, tf.int64), 1, numbers)
                batch = split.whole(episode % len(split.groups), u.numpy()[0])
            yield batch


def shots_of(share: float, count: int) -> int:
    """The size of a support set for a fraction of `count` examples: at least 1, but never all."""
    return min(max(1, round(share * count)), count - 1)


def _task(cells: Cells, rows: tf.Tensor, support: int) -> Batch:
    """Tasks from the examples at `rows` [T, S + Q]; the first S are the support set."""
    return as_tasks(cut_out(cells.x, rows), tf.gather(cells.y, rows), support)
