"""The sizes of Meta-Dataset's episodes: any number of ways, and imbalanced shots."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_integer
from meta_tf.tasks.size_range import one_of


@dataclasses.dataclass(frozen=True)
class MetaDatasetSizes:
    """Draws ways, shots and queries of each task as Meta-Dataset does.

    With c_i the number of examples of class i, of N classes drawn, u uniform in [0, 1),

        N   uniform in least_ways … min(most_ways, classes)
        q   = min(most_queries, min_i ⌊c_i / 2⌋)                  queries of each class
        S   = min(most_support, Σ_i ⌈β min(most_shots, c_i - q)⌉),   β = 1 - u
        r_i = c_i exp(α_i) / Σ_j c_j exp(α_j),   α_i uniform in [log ½, log 2)
        k_i = min(⌊r_i (S - N)⌋ + 1, c_i - q)                     shots of class i

    Args:
      counts: c, the number of examples of each class of the split.
      least_ways: the smallest number of classes.
      most_ways: the largest number of classes, if the split has as many.
      most_queries: the largest number of queries of a class.
      most_support: the largest support set.
      most_shots: limits the examples of a class that count for S.

    Raises:
      ValueError: if a number is invalid, there are fewer classes than `least_ways`, or a class
        has only one example.

    Reference:
      Triantafillou et al., Meta-Dataset: a dataset of datasets for learning to learn from few
      examples, 2020, section 3.2 and the appendix on sampling.
    """

    counts: np.ndarray
    least_ways: int = 5
    most_ways: int = 50
    most_queries: int = 10
    most_support: int = 500
    most_shots: int = 100

    def __post_init__(self) -> None:
        for name in ("least_ways", "most_queries", "most_shots"):
            check_integer(name, getattr(self, name), at_least=1)
        check_integer("most_ways", self.most_ways, at_least=self.least_ways, why="`least_ways`")
        check_integer(
            "most_support", self.most_support, at_least=self.most_ways, why="an example of each way"
        )
        if len(self.counts) < self.least_ways:
            raise ValueError(
                f"`least_ways` must be at most the number of classes, {len(self.counts)}. "
                f"Received: {self.least_ways}. Lower it, or give the split more classes."
            )
        if self.counts.min() < 2:
            raise ValueError(
                "Every class must have two examples, one for each set. Received: a class of "
                f"{self.counts.min()}. Leave that class out."
            )

    @property
    def ways(self) -> int:
        """The largest number of classes."""
        return min(self.most_ways, len(self.counts))

    @property
    def queries(self) -> int:
        """The largest number of queries of a class."""
        return min(self.most_queries, int(self.counts.max()) // 2)

    @property
    def shots(self) -> int:
        """The largest number of support examples of a class that leaves `queries`."""
        most = self.support - self.least_ways + 1
        return min(most, int(self.counts.max()) - self.queries)

    @property
    def numbers(self) -> int:
        """The number of uniform numbers for a task's sizes: N, β, and α of each class."""
        return 2 + self.ways

    @property
    def support(self) -> int:
        """The largest support set."""
        largest = np.sort(np.minimum(self.counts - 1, self.most_shots))[-self.ways :]
        return min(self.most_support, int(largest.sum()))

    @property
    def query(self) -> int:
        """The largest query set."""
        return self.ways * self.queries

    def draw(self, u: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `RangeSizes.draw`, from uniform numbers [T, 2 + N]."""
        ways = one_of(u[:, :1], (self.least_ways, self.ways))
        there = tf.range(counts.shape[1]) < ways
        halves = tf.where(there, counts // 2, self.most_queries)
        q = tf.minimum(self.most_queries, tf.reduce_min(halves, 1, keepdims=True))
        # In float64, so that rounding, which depends on the batch, does not change ⌊⌋.
        u = tf.cast(u, tf.float64)
        beta, alpha = 1 - u[:, 1:2], np.log(0.5) + (np.log(2) - np.log(0.5)) * u[:, 2:]
        left = tf.where(there, counts - q, 0)
        wished = tf.math.ceil(beta * tf.cast(tf.minimum(self.most_shots, left), tf.float64))
        all_wished = tf.reduce_sum(tf.cast(wished, tf.int32), 1, keepdims=True)
        support = tf.minimum(self.most_support, all_wished)
        shares = tf.where(there, tf.exp(alpha) * tf.cast(counts, tf.float64), 0)
        shares /= tf.reduce_sum(shares, 1, keepdims=True)
        more = tf.floor(shares * tf.cast(support - ways, tf.float64))
        shots = tf.minimum(tf.cast(more, tf.int32) + 1, left)
        return shots, tf.where(there, q, 0)
