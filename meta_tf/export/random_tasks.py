"""Random tasks for a traced learner, to compare two runtimes."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from meta_tf.export.lowering import inputs_of
from meta_tf.layers.table_columns import MISSING
from meta_tf.learner import MetaLearner
from meta_tf.network.standardized import Statistics, input_statistics

Arrays: TypeAlias = dict[str, Any]  # by name
_GAPS = 0.1  # of the cells of a table
_ITSELF = Statistics(np.zeros(()), np.ones(()))


class RandomTasks:
    """Draws tasks of any size for a learner.

    Floats come from the normal distribution or, with `positive`, from between 0 and 1; for a
    standardized learner, in the units of its tasks, and for a table with gaps. Pictures, if the
    model shows their range, have pixels of that range, and a tint each, so that they differ.
    Integers come from the vocabulary that all embedding layers share, labels from the classes.

    Args:
      function: the concrete function `adapt_and_predict`.
      learner: its `MetaLearner`.
      classes: the number of classes; None for regression.
    """

    def __init__(self, function: Any, learner: MetaLearner, classes: int | None):
        self._specs = inputs_of(function)
        self._classes = classes
        vocabularies = [
            layer.input_dim
            for layer in learner.model._flatten_layers()
            if isinstance(layer, keras.layers.Embedding)
        ]
        self._vocabulary = min(vocabularies, default=2)
        self._inputs = input_statistics(learner.model)
        self._white = learner.network.largest_pixel
        self._loss = learner.network.loss
        self._gaps = 0.0 if learner.columns is None else _GAPS

    def draw(self, number: int, support: int, query: int, *, positive: bool = False) -> Arrays:
        """The task with this number: `support_x`, `support_y` and `query_x` by name."""
        rng = np.random.default_rng(number)
        return {
            name: self._array(rng, spec, query if name.startswith("query_x") else support, positive)
            for name, spec in self._specs.items()
        }

    def unit_of(self, output: str) -> Statistics:
        """The unit of an output: of predictions that of the targets, if it is known."""
        known = getattr(self._loss, "of_predictions", _ITSELF)
        return known if output == "predictions" else _ITSELF

    def _array(self, rng: np.random.Generator, spec: Any, count: int, positive: bool) -> Any:
        shape = [count, *(3 if size is None else size for size in spec.shape[1:])]
        dtype = tf.as_dtype(spec.dtype).as_numpy_dtype
        if spec.name == "support_y" and self._classes:
            labels = np.arange(count) % self._classes
            vectors = np.eye(shape[-1]) if len(shape) > 1 and spec.dtype.is_floating else None
            chosen = labels if vectors is None else vectors[labels]
            return np.broadcast_to(chosen, shape).astype(dtype)
        if not spec.dtype.is_floating:
            return rng.integers(0, self._vocabulary, shape).astype(dtype)
        if self._white and spec.name != "support_y" and len(shape) == 4:
            tint = rng.random([count, 1, 1, shape[-1]])
            return (self._white * tint * rng.random(shape)).astype(dtype)
        drawn = rng.random(shape) if positive else rng.normal(size=shape)
        drawn = self._in_units(spec.name, drawn)
        if self._gaps and spec.name != "support_y":
            drawn = np.where(rng.random(shape) < self._gaps, MISSING, drawn)
        return drawn.astype(dtype)

    def _in_units(self, name: str, drawn: np.ndarray) -> np.ndarray:
        """Numbers of mean 0 and deviation 1 in the units of the tasks."""
        if name == "support_y":
            statistics = getattr(self._loss, "of_targets", None)
        else:
            statistics = self._inputs
        return drawn if statistics is None else statistics.restored(drawn)
