"""Episodes of N ways and K shots, cut from examples that are sorted by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_choice, check_switch
from meta_tf.tasks.class_part import ClassPart
from meta_tf.tasks.mapped import MappedExamples
from meta_tf.tasks.sampler import TURNS, Sampler
from meta_tf.tasks.size_range import RangeSizes, SizeRange, ends_of
from meta_tf.tasks.source import PARTS

Rotations = Literal["task", "classes"] | None


class ClassData(NamedTuple):
    """Examples grouped by class.

    `examples`: [n, ...] uint8, float32 or int32, class after class; those of a memory map stay
    on disk.
    `counts`: how many of them each class has.
    `names`: the classes' names.
    """

    examples: np.ndarray
    counts: np.ndarray
    names: list[str]


def class_parts(
    data: ClassData,
    split: Sequence[Sequence[str]],
    *,
    ways: SizeRange,
    shots: SizeRange,
    queries: SizeRange,
    rotations: Rotations,
    train_ways: SizeRange | None = None,
    train_shots: SizeRange | None = None,
    scale: bool = True,
) -> list[ClassPart]:
    """Makes the three parts of a source of classes.

    Args:
      data: the examples. float32 and int32 (token numbers, say) pass unchanged.
      split: names of the classes of training, validation and test.
      ways: N, classes per task; a range `(2, 20)` lets every task draw its own, as it does for
        the next two.
      shots: K, support examples per class.
      queries: query examples per class.
      rotations: `"task"` turns each class of each task by 0, 90, 180 or 270°;
        `"classes"` makes every turned class a class of its own, in training
        only; `None` turns nothing. Turning takes four copies in memory.
      train_ways: N of the training part alone; `ways` if None.
      train_shots: K of the training part alone; `shots` if None.
      scale: whether `uint8` is scaled from 0 … 255 to [0, 1]; else it passes unchanged too.

    Returns:
      The parts, in the order training, validation, test.

    Raises:
      ValueError: if a part has fewer classes than `ways`, a class has fewer examples
        than a task needs, or the examples cannot be turned.
    """
    each = ends_of("ways", ways), ends_of("shots", shots), ends_of("queries", queries)
    train = (
        each[0] if train_ways is None else ends_of("train_ways", train_ways),
        each[1] if train_shots is None else ends_of("train_shots", train_shots),
        each[2],
    )
    check_choice("rotations", rotations, ("task", "classes", None))
    check_switch("scale", scale)
    if rotations is not None:
        _check_square(data.examples.shape, rotations)
    starts = np.cumsum(data.counts) - data.counts
    rows = {name: row for row, name in enumerate(data.names)}
    examples = _with_turns(data.examples, 1 if rotations is None else TURNS)
    parts = []
    for stream, (part, names) in enumerate(zip(PARTS, split, strict=True)):
        # One order for all, so that a caller's order of names changes no episode.
        names = sorted(names)
        chosen = [rows[name] for name in names]
        sizes = RangeSizes(*(train if part == "train" else each))
        most = (sizes.ways[1], sizes.shots[1], sizes.queries[1])
        _check_part(part, names, data.counts[chosen], len(data.names), *most)
        sampler = Sampler(
            examples,
            starts[chosen],
            data.counts[chosen],
            *most,
            rotations == "task",
            None if all(first == last for first, last in sizes) else sizes,
            scale,
        )
        if rotations == "classes" and part == "train":
            sampler = sampler.with_turned_classes(len(data.examples))
            names = [f"{name}/turned{90 * turn}" for turn in range(TURNS) for name in names]
        parts.append(ClassPart(sampler, stream=stream, classes=names))
    return parts


def _with_turns(examples: np.ndarray, turns: int) -> tf.Tensor | MappedExamples:
    """The examples, of four turns one after another: turning is then only gathering."""
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
            "Only square images can be turned, [n, size, size] or [n, size, size, channels]. "
            f"Received: examples of shape {shape} and rotations={rotations!r}. "
            "Pass rotations=None, or resize the images to a square."
        )


def _check_part(
    part: str,
    names: Sequence[str],
    counts: np.ndarray,
    classes: int,
    ways: int,
    shots: int,
    queries: int,
) -> None:
    if len(names) < ways:
        raise ValueError(
            f"The {part} part has {len(names)} of the {classes} classes, fewer than a task needs: "
            f"ways={ways}. Add classes, lower `ways`, or give the part a larger share of the "
            "classes."
        )
    least = int(np.argmin(counts))
    if counts[least] < shots + queries:
        raise ValueError(
            f"Class {names[least]!r} of the {part} part has {counts[least]} examples, fewer than a "
            f"task needs: shots + queries = {shots} + {queries} = {shots + queries}, as no example "
            "may be in both sets. Add examples, leave the class out, or lower `shots` or `queries`."
        )
