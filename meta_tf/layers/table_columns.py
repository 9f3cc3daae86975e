"""The first layer of a learner of tables: fills gaps, scales numbers, and spreads categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.types import Tensor

MISSING = float(np.finfo(np.float32).min)  # finite, so that it passes where NaN would not


@keras.saving.register_keras_serializable("meta_tf")
class TableColumns(keras.layers.Layer):
    """Maps rows [..., F] to inputs of a network [..., W], by what is known of each column.

    A number x becomes (x - mean) / deviation. A gap, `MISSING`, becomes the mean, which is 0 then,
    and for a column in `gaps` a further input is 1 for a gap and 0 otherwise. The number k of a
    category becomes a vector with 1 in place k; a gap or an unknown category is all zeros.

    `columns`: the fields of `meta_tf.tasks.columns.Columns`, all of which the layer keeps. `mean`
    and `deviation`: of each column, [F].
    """

    def __init__(
        self,
        columns: dict[str, Any],
        mean: Sequence[float],
        deviation: Sequence[float],
        **options: Any,
    ):
        super().__init__(**options)
        self.columns = dict(columns)
        self._mean, self._deviation = list(mean), list(deviation)
        deviations = np.asarray(deviation, np.float64)
        self.scale, self.offset = 1 / deviations, -np.asarray(mean, np.float64) / deviations
        names, categories = list(columns["features"]), columns["categories"]
        self._numbers = [i for i, name in enumerate(names) if name not in categories]
        self._gaps = [names.index(name) for name in columns["gaps"]]
        self._categories = [(i, len(categories[n])) for i, n in enumerate(names) if n in categories]

    @property
    def width(self) -> int:
        """W, the number of inputs for the network."""
        return len(self._numbers) + len(self._gaps) + sum(size for _, size in self._categories)

    def call(self, inputs: Tensor) -> Tensor:
        x = tf.cast(inputs, self.compute_dtype)
        missing = x <= MISSING
        scale, offset = (tf.constant(v, x.dtype) for v in (self.scale, self.offset))
        scaled = tf.where(missing, tf.zeros_like(x), tf.where(missing, offset, x) * scale + offset)
        parts = [tf.gather(scaled, self._numbers, axis=-1)] if self._numbers else []
        if self._gaps:
            parts.append(tf.gather(tf.cast(missing, x.dtype), self._gaps, axis=-1))
        for place, size in self._categories:
            apart = tf.abs(x[..., place : place + 1] - tf.range(size, dtype=x.dtype))
            parts.append(tf.cast(apart < 0.5, x.dtype))
        return tf.concat(parts, -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.width)

    def get_config(self) -> dict[str, Any]:
        own = {"columns": self.columns, "mean": self._mean, "deviation": self._deviation}
        return {**super().get_config(), **own}
