"""`check_source`: checks that your own task source has the properties of the library's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.tasks.source import SPLITS, Source
from meta_tf.tasks.split import Split

_EPISODES = 6


def check_source(source: Source) -> None:
    """Checks a task source for the properties that the library's own sources have.

    Episode i of a split depends only on the seed and i: neither the batch size nor the point where
    a run resumes changes it. The three splits, and two seeds, give different episodes. Values are
    finite, shapes are as declared by the source, and the labels of a classification are
    0 … N - 1. The splits have no class in common.

    Args:
      source: the source.

    Raises:
      AssertionError: if a property is missing, with one sentence for each.

    Example:
      >>> meta_tf.testing.check_source(meta_tf.tasks.Sinusoid(shots=5))
    """
    failures = [
        f"{name}: {failure}"
        for name in SPLITS
        for failure in _of_a_split(source, getattr(source, name))
    ]
    failures += _between_splits(source)
    if failures:
        raise AssertionError("\n".join([f"{source!r} fails:", *failures]))


def _of_a_split(source: Source, split: Split) -> Iterator[str]:
    first = _episodes(split, 1)
    for tasks in (2, _EPISODES):
        if not _equal(_episodes(split, tasks), first):
            yield (
                f"An episode must not depend on the size of its batch: those in batches of {tasks} "
                "differ from those one by one. Use only the uniform numbers in the episode's own "
                "row, and no other generator."
            )
    if not _equal(
        _episodes(split, 2, start=1), [t[2:] for t in _episodes(split, 2, 2 + _EPISODES)]
    ):
        yield "A split must continue at any batch: `start=1` gives other episodes."
    if _equal(_episodes(split, 1, seed=1), first):
        yield "Another seed must give other episodes. Received: the same for 0 and 1."
    x, y = next(iter(split.batches(2)))
    for name, value, shape in (
        ("support_x", x["support_x"], source.input_shape),
        ("query_x", x["query_x"], source.input_shape),
        ("support_y", x["support_y"], source.target_shape),
        ("query_y", y, source.target_shape),
    ):
        yield from _of_a_set(source, name, value, shape)


def _of_a_set(source: Source, name: str, value: Any, shape: Any) -> Iterator[str]:
    pairs: list[tuple[tf.Tensor, Any]] = []
    keras.tree.map_structure_up_to(value, lambda *pair: pairs.append(pair), value, shape)
    for tensor, declared in pairs:
        if tuple(tensor.shape[2:]) != tuple(declared):
            yield (
                f"`{name}` must be [T, …] of the declared shape {declared}. Received: "
                f"{tuple(tensor.shape)}."
            )
        if tensor.dtype.is_floating and not np.isfinite(tensor).all():
            yield f"`{name}` must be finite. Received: nan or infinity."
    if name.endswith("_y") and source.kind == "classification":
        labels, ways = np.asarray(value), source.ways or 0
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= ways:
            yield (
                f"`{name}` must hold class numbers 0 … {ways - 1}. Received: {labels.dtype} "
                f"from {labels.min()} to {labels.max()}."
            )


def _between_splits(source: Source) -> Iterator[str]:
    for one, other in itertools.combinations(SPLITS, 2):
        a, b = getattr(source, one), getattr(source, other)
        if shared := set(a.classes) & set(b.classes):
            yield f"{one} and {other} must share no class. Received: {sorted(shared)[0]!r} in both."
        if _equal(_episodes(a, 1), _episodes(b, 1)):
            yield (
                f"{one} and {other} must give different episodes: give each split a stream of its "
                "own."
            )


def _episodes(
    split: Split, tasks: int, number: int = _EPISODES, **options: int
) -> list[np.ndarray]:
    """The first episodes as flat arrays, taken in batches of `tasks`."""
    batches = split.batches(tasks, **options).take(-(-number // tasks))
    flat = [tf.nest.flatten(batch) for batch in batches]
    return [np.concatenate([t.numpy() for t in ts])[:number] for ts in zip(*flat, strict=True)]


def _equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
