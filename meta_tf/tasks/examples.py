"""Examples from memory, in the types in which tasks give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.tasks.mapped import MappedExamples
from meta_tf.types import Batch


def as_examples(name: str, examples: np.ndarray) -> np.ndarray:
    """The examples in the type that is kept: uint8 as it is, float32 or int32.

    Args:
      name: the argument's name, for the errors.
      examples: [n, ...].

    Raises:
      ValueError: if they are not numbers, not finite, or too large for int32.
    """
    kind = examples.dtype.kind
    if examples.dtype == np.uint8:
        return examples
    if kind in "iu":
        limits = np.iinfo(np.int32)
        if examples.min() < limits.min or examples.max() > limits.max:
            raise ValueError(
                f"Integer `{name}` must fit into int32. Received: values from "
                f"{examples.min()} to {examples.max()}. Convert them with .astype('float32')."
            )
        return examples.astype(np.int32)
    if kind != "f":
        raise ValueError(
            f"`{name}` must be numbers: uint8, another integer type, or floats. "
            f"Received: {name} of dtype {examples.dtype}. Convert them with .astype('float32')."
        )
    with np.errstate(over="ignore"):  # an overflow becomes infinite, and is reported below
        examples = examples.astype(np.float32)
    finite = np.isfinite(examples).reshape(len(examples), -1).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise ValueError(
            f"`{name}` must be finite in float32. Received: NaN or infinity in "
            f"{len(bad)} of {len(examples)} examples, the first at index {bad[0]}. "
            "Remove or repair them."
        )
    return examples


def cut_out(examples: tf.Tensor | MappedExamples, rows: Any, scale: bool = True) -> tf.Tensor:
    """The examples at `rows` [T, B], [T, B, ...]; with `scale`, uint8 from 0 … 255 to [0, 1]."""
    mapped = isinstance(examples, MappedExamples)
    x = examples.gather(rows) if mapped else tf.gather(examples, rows)
    return tf.cast(x, tf.float32) * (1 / 255) if scale and x.dtype == tf.uint8 else x


def drawn_places(order: tf.Tensor, counts: tf.Tensor, size: int) -> tf.Tensor:
    """The places of `size` examples, none twice, among the first `counts` [..., 1] of each row.

    Those of the k smallest of n uniform numbers are k draws from n.

    Args:
      order: numbers below 1, [..., n].
      counts: how many of each row stand for an example.
      size: k.
    """
    among = tf.range(order.shape[-1]) < counts
    return tf.math.top_k(-tf.where(among, order, 2.0), size).indices


def as_tasks(x: tf.Tensor, y: tf.Tensor, support: int) -> Batch:
    """Tasks of examples [T, S + Q, ...] and their targets, of which the first S are support."""
    sets = {"support_x": x[:, :support], "support_y": y[:, :support]}
    return sets | {"query_x": x[:, support:]}, y[:, support:]
