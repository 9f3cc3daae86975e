"""Checks of a function that makes one task, as `from_function` takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

_NAMES = ("support_x", "support_y", "query_x", "query_y")
_SEEDS_TRIED = 8


class WrongTaskError(ValueError):
    """The user's function does not make tasks."""


def wrong_task(fault: str) -> WrongTaskError:
    """The error with the description of a fault."""
    return WrongTaskError(
        "`fn` must map a seed, int32 [2], to (support_x, support_y, query_x, query_y) of one "
        f"task, [S, ...], [S, ...], [Q, ...], [Q, ...]. {fault}."
    )


def tuple_of_four(made: Any) -> tuple[Any, Any, Any, Any]:
    """What the function returned, if it is a tuple of four."""
    if not isinstance(made, tuple) or len(made) != len(_NAMES):
        got = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
        raise wrong_task(f"It returned {got}")
    return made


def check_shapes(task: tuple[Any, ...]) -> None:
    """Checks that the tensors of a compiled task have fixed shapes."""
    for name, structure in zip(_NAMES, task, strict=True):
        for spec in tf.nest.flatten(structure):
            if not spec.shape.is_fully_defined():
                raise wrong_task(
                    f"Its {name} has no fixed shape: {spec.shape}; use tf.ensure_shape"
                )


def check_task(task: tuple[Any, ...], ways: int | None) -> None:
    """Checks the values of one task, and that its tensors fit together."""
    for name, structure in zip(_NAMES, task, strict=True):
        for value in tf.nest.flatten(structure):
            if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
                raise wrong_task(f"Its {name} contains NaN or infinity")
    for name, inputs, targets in zip(("support", "query"), task[::2], task[1::2], strict=True):
        if not isinstance(targets, tf.Tensor):
            raise wrong_task(f"Its {name}_y is not a single tensor")
        shapes = [tuple(value.shape) for value in [*tf.nest.flatten(inputs), targets]]
        if () in shapes or len({shape[0] for shape in shapes}) != 1 or not shapes[0][0]:
            raise wrong_task(
                f"Its {name} set has different numbers of inputs and targets: {shapes}"
            )
        if ways is None and not targets.dtype.is_floating:
            raise wrong_task(
                f"Its {name}_y is {targets.dtype.name}; for classification pass `ways`"
            )
        if ways is not None:
            whole = targets.dtype.is_integer and targets.shape.rank == 1
            if not whole or not all(0 <= label < ways for label in targets.numpy()):
                raise wrong_task(
                    f"Its {name}_y are not class numbers 0 … {ways - 1}, [n]: {targets}"
                )


def check_seeding(task: Callable[[tf.Tensor], Any], draw: str) -> None:
    """Checks that the values of a task depend on the seed, and on nothing else."""
    tasks = [task(tf.constant([i, i + 1])) for i in range(_SEEDS_TRIED)]
    shapes = [[tuple(t.shape) for t in tf.nest.flatten(made)] for made in tasks]
    for other in shapes:
        if other != shapes[0]:
            raise wrong_task(f"It returned other shapes for another seed: {shapes[0]} and {other}")
    if not _equal(tasks[0], task(tf.constant([0, 1]))):
        raise wrong_task(f"The same seed gave two different tasks; draw from the seed, with {draw}")
    if all(_equal(tasks[0], other) for other in tasks[1:]):
        raise wrong_task(
            f"{_SEEDS_TRIED} seeds gave the same task; draw from the seed, with {draw}, since "
            "other random numbers may be drawn only once"
        )


def _equal(task: Any, other: Any) -> bool:
    pairs = zip(tf.nest.flatten(task), tf.nest.flatten(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
