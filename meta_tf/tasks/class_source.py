"""`ClassSource`: tasks of N ways and K shots, from examples that are sorted by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_choice, check_switch
from meta_tf.tasks.class_split import ClassSplit
from meta_tf.tasks.mapped import MappedExamples
from meta_tf.tasks.sampler import TURNS, Sampler
from meta_tf.tasks.size_range import RangeSizes, SizeRange, ends_of
from meta_tf.tasks.source import SPLITS, Source

Rotations = Literal["task", "classes"] | None
_MOST_QUERIES = 15  # as in most papers


class ClassData(NamedTuple):
    """Examples grouped by class.

    `examples`: [n, ...] uint8, float32 or int32, one class after another, `counts` of each; those
    of a memory map stay on disk.
    """

    examples: np.ndarray
    counts: np.ndarray
    names: list[str]


class ClassSource(Source):
    """Tasks of N ways and K shots, from examples of classes.

    `split`: names of the classes of training, validation and test. The other arguments are as in
    `Omniglot` and `from_arrays`. Raises ValueError if a split has fewer classes than `ways`, a
    class has fewer examples than a task needs, or the examples cannot be rotated.
    """

    def __init__(
        self,
        data: ClassData,
        split: Sequence[Sequence[str]],
        *,
        ways: SizeRange,
        shots: SizeRange,
        queries: SizeRange | None,
        rotations: Rotations,
        train_ways: SizeRange | None = None,
        train_shots: SizeRange | None = None,
        scale: bool = True,
    ):
        check_choice("rotations", rotations, ("task", "classes", None))
        check_switch("scale", scale)
        if rotations is not None:
            _check_square(data.examples.shape, rotations)
        counts = dict(zip(data.names, data.counts.tolist(), strict=True))
        of_splits = sizes_of_splits(counts, split, ways, shots, queries, train_ways, train_shots)
        starts = np.cumsum(data.counts) - data.counts
        rows = {name: row for row, name in enumerate(data.names)}
        examples = _with_turns(data.examples, 1 if rotations is None else TURNS)
        splits = []
        for stream, (name, names) in enumerate(zip(SPLITS, split, strict=True)):
            # A fixed order, so that the caller's order of names does not change episodes.
            names, sizes = sorted(names), of_splits[stream]
            chosen = [rows[name] for name in names]
            most = sizes.ways[1], sizes.shots[1], sizes.queries[1]
            sampler = Sampler(
                examples,
                starts[chosen],
                data.counts[chosen],
                *most,
                rotations == "task",
                sizes.if_they_vary(),
                scale,
            )
            if rotations == "classes" and name == "train":
                sampler = sampler.with_turned_classes(len(data.examples))
                names = [f"{name}/turned{90 * turn}" for turn in range(TURNS) for name in names]
            splits.append(ClassSplit(sampler, stream=stream, classes=names))
        super().__init__("classification", splits, **of_splits[-1]._asdict())


def sizes_of_splits(
    counts: Mapping[str, int],
    split: Sequence[Sequence[str]],
    ways: SizeRange,
    shots: SizeRange,
    queries: SizeRange | None,
    train_ways: SizeRange | None,
    train_shots: SizeRange | None,
) -> list[RangeSizes]:
    """The sizes of the tasks of each split, by the number of examples of each class.

    The arguments are those of `ClassSource`. Raises ValueError if classes or examples are too few.
    """
    ways, shots = ends_of("ways", ways), ends_of("shots", shots)
    train_ways = ways if train_ways is None else ends_of("train_ways", train_ways)
    train_shots = shots if train_shots is None else ends_of("train_shots", train_shots)
    if queries is None:
        left = min(counts.values()) - max(shots[1], train_shots[1])
        # If none is left, the error for 1 names the class.
        queries = max(1, min(_MOST_QUERIES, left))
    queries = ends_of("queries", queries)
    others = RangeSizes(ways, shots, queries)
    of_splits = [RangeSizes(train_ways, train_shots, queries), others, others]
    for name, names, sizes in zip(SPLITS, split, of_splits, strict=True):
        _check_split(name, {n: counts[n] for n in sorted(names)}, len(counts), sizes)
    return of_splits


def _with_turns(examples: np.ndarray, turns: int) -> tf.Tensor | MappedExamples:
    """The examples in four rotations, one after another, so that rotating is only gathering."""
    if isinstance(examples, np.memmap):
        return MappedExamples(examples, turns)
    if turns > 1:
        turned = [np.rot90(examples, turn, axes=(1, 2)) for turn in range(turns)]
        examples = np.concatenate(turned)
    with tf.device("CPU:0"):
        return tf.constant(examples)


def _check_square(shape: tuple[int, ...], rotations: Rotations) -> None:
    if len(shape) not in (3, 4) or shape[1] != shape[2]:
        raise ValueError(
            "Only square images can be rotated, [n, size, size] or [n, size, size, channels]. "
            f"Received: examples of shape {shape} and rotations={rotations!r}. "
            "Pass rotations=None, or resize the images to a square."
        )


def _check_split(split: str, counts: Mapping[str, int], classes: int, sizes: RangeSizes) -> None:
    """Raises ValueError unless a split has enough classes and examples for its largest tasks."""
    ways, shots, queries = (most for _, most in sizes)
    if len(counts) < ways:
        raise ValueError(
            f"The {split} split has {len(counts)} of the {classes} classes, fewer than a task "
            f"needs: ways={ways}. Add classes, lower `ways`, or give the split a larger fraction "
            "of the classes."
        )
    least = min(counts, key=lambda name: counts[name])
    if counts[least] < shots + queries:
        raise ValueError(
            f"Class {least!r} of the {split} split has {counts[least]} examples, fewer than "
            f"a task needs: shots + queries = {shots} + {queries} = {shots + queries}, as no "
            "example can be in both sets. Add examples, remove the class, or lower `shots` or "
            "`queries`."
        )
