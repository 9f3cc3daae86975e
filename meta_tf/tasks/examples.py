"""Examples in memory, in the types that tasks use."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.tasks.mapped import MappedExamples
from meta_tf.types import Batch

_ROUNDING = 1e-13  # of the largest number: what several float64 operations change


def as_examples(name: str, examples: np.ndarray) -> np.ndarray:
    """The examples [n, ...] in the type to store: uint8 unchanged, otherwise float32 or int32.

    Raises ValueError, which calls them `name`, if they are not numbers, not finite, or too large.
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
    given = examples
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
    if given.ndim == 2 and given.dtype.itemsize > 4 and (lost := lost_in_float32(given)).any():
        column = int(lost.argmax())
        raise ValueError(
            f"`{name}` must be numbers that differ in float32. Received: in column {column}, "
            f"numbers from {given[:, column].min():.12g} to {given[:, column].max():.12g}. Use "
            "another unit, or subtract the smallest of them first."
        )
    return examples


def lost_in_float32(values: np.ndarray) -> np.ndarray:
    """Whether the numbers of each column of float64 [n, F] differ too little for float32, [F].

    NaN does not count, nor does what is only rounding errors of float64.
    """
    least, most = np.nanmin(values, 0), np.nanmax(values, 0)
    largest = np.maximum(np.abs(least), np.abs(most))
    with np.errstate(over="ignore", invalid="ignore"):
        finest, deviation = np.spacing(largest.astype(np.float32)), np.nanstd(values, 0)
    return (least < most) & (deviation > _ROUNDING * largest) & ~(finest <= 0.01 * deviation)


def cut_out(examples: tf.Tensor | MappedExamples, rows: Any, scale: bool = True) -> tf.Tensor:
    """The examples at `rows` [T, B], [T, B, ...]; `scale` maps uint8 from 0 … 255 to [0, 1]."""
    mapped = isinstance(examples, MappedExamples)
    x = examples.gather(rows) if mapped else tf.gather(examples, rows)
    return tf.cast(x, tf.float32) * (1 / 255) if scale and x.dtype == tf.uint8 else x


def numbered(name: str, labels: np.ndarray, what: str) -> tuple[list[str], np.ndarray]:
    """The distinct labels [n] as texts, sorted, and the number of each label among them [n].

    Raises ValueError, which calls the labels `name`, unless they are integers or strings.
    """
    if labels.dtype.kind not in "iuSU":
        raise ValueError(
            f"`{name}` must be integers or strings, the {what} of each example. Received: {name} "
            f"of dtype {labels.dtype}. Convert them with .astype(int) or .astype(str)."
        )
    distinct, numbers = np.unique(labels, return_inverse=True)
    return [as_text(value) for value in distinct.tolist()], numbers.reshape(-1)


def as_text(name: object) -> str:
    """A name as text; NumPy's strings can be bytes."""
    return name.decode() if isinstance(name, bytes) else str(name)


def rows_of(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The positions of the examples of all classes, one class after another, [n]."""
    ranges = zip(starts.flat, counts.flat, strict=True)
    return np.concatenate([np.arange(start, start + count) for start, count in ranges])


def places_of(
    parts: Sequence[Any], names: Sequence[str], without: Collection[str]
) -> tuple[Any, list[str]]:
    """The places of several parts of the same examples, by name except some, and these names.

    Parts have `starts` and `counts`, with a row for each of their `names`; the rest is the last's.
    """
    rows = [row for row, name in enumerate(names) if name not in without]
    rows.sort(key=names.__getitem__)
    starts, counts = (
        np.concatenate([getattr(part, each) for part in parts])[rows]
        for each in ("starts", "counts")
    )
    return parts[-1]._replace(starts=starts, counts=counts), [names[row] for row in rows]


def drawn_rows(order: tf.Tensor, starts: tf.Tensor, counts: tf.Tensor, size: int) -> tf.Tensor:
    """Draws `size` distinct examples of each class: their positions, [T, size, N].

    The indices of the smallest of n uniform numbers, the `order` [T, N, n], are draws from n
    without replacement. The examples of a class, `counts` [T, N] of them, follow one another from
    `starts` [T, N] on.
    """
    among = tf.range(order.shape[-1]) < counts[..., tf.newaxis]
    places = tf.math.top_k(-tf.where(among, order, 2.0), size).indices
    return tf.transpose(starts[..., tf.newaxis] + tf.cast(places, starts.dtype), [0, 2, 1])


def as_tasks(x: tf.Tensor, y: tf.Tensor, support: int) -> Batch:
    """Tasks from examples [T, S + Q, ...] and their targets; the first S are the support set."""
    sets = {"support_x": x[:, :support], "support_y": y[:, :support]}
    return sets | {"query_x": x[:, support:]}, y[:, support:]
