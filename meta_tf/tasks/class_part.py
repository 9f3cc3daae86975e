"""A part of a source of classes: its examples one by one, and their features computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from meta_tf.checks import check_integer
from meta_tf.tasks.part import Part
from meta_tf.types import Batch


class Sampler(Protocol):
    """What cuts episodes out of the examples of a part's classes."""

    @property
    def numbers(self) -> int: ...

    @property
    def class_counts(self) -> np.ndarray:
        """How many examples each class has, [C]."""

    def episodes(self, u: tf.Tensor) -> Batch: ...

    def drawn(self, u: tf.Tensor) -> tf.Tensor:
        """The places of the classes of these episodes, [T, N]."""

    def example(self, place: tf.Tensor, turn: int = 0) -> tf.Tensor:
        """The examples at these places of the part, class after class, in this quarter turn."""

    @property
    def turns(self) -> int:
        """In how many quarter turns an episode may show an example; 1 for none."""

    def of(self, examples: tf.Tensor) -> Sampler:
        """The same draws from other examples: the part's, class after class, turn after turn."""


class ClassPart(Part):
    """The training, validation or test part of a source of classes."""

    def __init__(self, sampler: Sampler, *, stream: int, classes: Sequence[str]):
        super().__init__(
            sampler.episodes, sampler.numbers, stream=stream, classes=classes, drawn=sampler.drawn
        )
        self._sampler = sampler

    def labelled(self) -> tf.data.Dataset:
        """Every example with the number of its class, for training that knows no tasks.

        Returns:
          A dataset of `(x, label)` that ends, class after class: shuffle it. `label` is the
          place of the class in `classes`, int64.

        Example:
          >>> vectors = np.random.default_rng(0).normal(size=[60, 8])
          >>> part = meta_tf.tasks.from_arrays(vectors, np.arange(60) % 15, ways=2, queries=3).train
          >>> len(part.labelled().batch(10))
          4
        """
        labels = np.repeat(np.arange(len(self.classes)), self._sampler.class_counts)
        rows = tf.data.Dataset.from_tensor_slices((np.arange(len(labels)), labels))
        # Places are shuffled by whoever shuffles this, and pictures made of them in batches.
        return rows.map(lambda place, label: (self._sampler.example(place), label))

    def embedded(self, model: keras.Model, batch_size: int = 256) -> ClassPart:
        """The same episodes, of what a model makes of the examples: computed now, once.

        An algorithm that learns on the outputs of a frozen network need not run it for every
        task then. The model predicts as `keras.Model.predict` does: dropout is off, and batch
        normalisation takes its moving averages.

        Args:
          model: from examples [B, ...] to features, [B, ...].
          batch_size: examples at a time; as many as fit into memory.

        Returns:
          A part whose episode of a seed and number is this one's, of features.

        Example:
          >>> vectors = np.random.default_rng(0).normal(size=[60, 8])
          >>> part = meta_tf.tasks.from_arrays(vectors, np.arange(60) % 15, ways=2, queries=3).test
          >>> part.embedded(meta_tf.models.mlp(8, None, (4,))).task_spec[1].shape
          TensorShape([6])
        """
        check_integer("batch_size", batch_size, at_least=1)
        sampler, count = self._sampler, int(self._sampler.class_counts.sum())
        features = [
            model.predict_on_batch(sampler.example(tf.range(i, min(i + batch_size, count)), turn))
            for turn in range(sampler.turns)
            for i in range(0, count, batch_size)
        ]
        of_features = sampler.of(tf.constant(np.concatenate(features)))
        return ClassPart(of_features, stream=self._stream, classes=self.classes)
