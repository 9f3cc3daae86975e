"""Tasks made by your own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_tf.checks import check_integer
from meta_tf.tasks.part import Part
from meta_tf.tasks.source import Kind, Source
from meta_tf.types import Batch

TaskFunction = Callable[[tf.Tensor], tuple[Any, Any, Any, Any]]
_NAMES = ("support_x", "support_y", "query_x", "query_y")
_RESOLUTION = 2**23  # a float32 uniform number is a multiple of 1 / this
_SEEDS_TRIED = 8


def from_function(fn: TaskFunction, ways: int | None = None) -> Source:
    """Creates a source from a function that makes one task.

    Training, validation and test call `fn` with different seeds.

    Args:
      fn: takes a seed, int32 [2], and returns `(support_x, support_y, query_x,
        query_y)` of one task, [S, ...], [S, ...], [Q, ...], [Q, ...], with the
        inputs as tensors or as dicts or lists of tensors. It is compiled, so it
        must use TensorFlow operations, draw its random numbers from the seed
        (`tf.random.stateless_normal(shape, seed)` and similar functions; use
        `tf.random.split(seed)` for several independent draws) and always return
        the same static shapes. Floats become float32, integers int32.
      ways: N, for classification tasks: the targets are then integers 0 … N - 1.
        `None` for regression: the targets are then floats.

    Returns:
      A `Source`. Its `shots` and `queries` are S and Q, for classification divided
      by N.

    Raises:
      ValueError: if `fn` cannot be compiled, does not return such a tuple, returns
        values that are not finite, or depends on anything besides its seed.

    Example:
      >>> def line(seed):
      ...     slope, x = tf.split(tf.random.stateless_normal([21, 1], seed), [1, 20])
      ...     return x[:10], slope * x[:10], x[10:], slope * x[10:]
      >>> tasks = meta_tf.tasks.from_function(line)
      >>> tasks.shots, tasks.input_shape
      (10, (1,))
    """
    if ways is not None:
        check_integer("ways", ways, at_least=1)
    task = _compiled(fn)
    _check_shapes(task.structured_outputs)
    _check_task(task(tf.constant([0, 0])), ways)
    _check_seeding(task)

    def one_task(seed: tf.Tensor) -> Batch:
        support_x, support_y, query_x, query_y = task(seed)
        return {"support_x": support_x, "support_y": support_y, "query_x": query_x}, query_y

    shapes = task.structured_outputs
    signature = tf.nest.map_structure(lambda s: tf.TensorSpec(s.shape, s.dtype), tuple(shapes))
    signature = (dict(zip(_NAMES[:3], signature[:3], strict=True)), signature[3])

    def episodes(u: tf.Tensor) -> Batch:
        seeds = tf.cast(u * _RESOLUTION, tf.int32)
        made = tf.map_fn(one_task, seeds, fn_output_signature=signature)
        return tf.nest.map_structure(lambda t: tf.ensure_shape(t, [u.shape[0], *t.shape[1:]]), made)

    # A task can be slow to make, so no batch is made before it is needed.
    parts = [Part(episodes, numbers=2, stream=stream, most_batches=1) for stream in range(3)]
    support, query = shapes[1].shape[0], shapes[3].shape[0]
    kind: Kind = "regression" if ways is None else "classification"
    each = ways or 1
    return Source(kind, parts, ways=ways, shots=support // each, queries=query // each)


def _compiled(fn: TaskFunction) -> Any:
    """The concrete function of `fn`, with its tensors converted to the types of a batch."""

    def converted(seed: tf.Tensor) -> tuple[Any, ...]:
        made = fn(seed)
        if not isinstance(made, tuple) or len(made) != 4:
            got = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
            raise _wrong(f"It returned {got}")
        return tf.nest.map_structure(_converted, made)

    try:
        return tf.function(converted).get_concrete_function(tf.TensorSpec([2], tf.int32))
    except _Wrong:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if "_Wrong: " in text:  # AutoGraph wraps it
            raise _Wrong(text.partition("_Wrong: ")[2]) from None
        raise _wrong(
            f"Compiling it failed with {type(error).__name__}: {text.rstrip('.')}. On the seed and "
            "all values derived from it, use only TensorFlow operations, not NumPy"
        ) from error


def _converted(value: Any) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if value.dtype.is_floating:
        return tf.cast(value, tf.float32)
    if value.dtype.is_integer:
        return tf.cast(value, tf.int32)
    raise _wrong(f"It returned a tensor of dtype {value.dtype.name}, not floats or integers")


def _check_shapes(task: tuple[Any, ...]) -> None:
    for name, structure in zip(_NAMES, task, strict=True):
        for spec in tf.nest.flatten(structure):
            if not spec.shape.is_fully_defined():
                raise _wrong(f"Its {name} has no fixed shape: {spec.shape}; use tf.ensure_shape")


def _check_task(task: tuple[Any, ...], ways: int | None) -> None:
    """Checks the values of one task, and that its tensors fit together."""
    for name, structure in zip(_NAMES, task, strict=True):
        for value in tf.nest.flatten(structure):
            if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
                raise _wrong(f"Its {name} contains NaN or infinity")
    support_x, support_y, query_x, query_y = task
    for name, inputs, targets in [
        ("support", support_x, support_y),
        ("query", query_x, query_y),
    ]:
        if not isinstance(targets, tf.Tensor):
            raise _wrong(f"Its {name}_y is not a single tensor")
        shapes = [tuple(value.shape) for value in [*tf.nest.flatten(inputs), targets]]
        if () in shapes or len({shape[0] for shape in shapes}) != 1 or not shapes[0][0]:
            raise _wrong(f"Its {name} set has different numbers of inputs and targets: {shapes}")
        _check_targets(name, targets, ways)


def _check_targets(name: str, targets: tf.Tensor, ways: int | None) -> None:
    if ways is None and not targets.dtype.is_floating:
        raise _wrong(f"Its {name}_y is {targets.dtype.name}; for classification pass `ways`")
    if ways is not None:
        whole = targets.dtype.is_integer and targets.shape.rank == 1
        if not whole or not 0 <= int(tf.reduce_min(targets)) <= int(tf.reduce_max(targets)) < ways:
            raise _wrong(f"Its {name}_y are not class numbers 0 … {ways - 1}, [n]: {targets}")


def _check_seeding(task: Callable[[tf.Tensor], Any]) -> None:
    """Checks that the task depends on the seed, and on nothing else."""
    tasks = [task(tf.constant([i, i + 1])) for i in range(_SEEDS_TRIED)]
    if not _equal(tasks[0], task(tf.constant([0, 1]))):
        raise _wrong(
            "The same seed gave two different tasks; draw from the seed, with tf.random.stateless_…"
        )
    if all(_equal(tasks[0], other) for other in tasks[1:]):
        raise _wrong(
            f"{_SEEDS_TRIED} seeds gave the same task; random numbers from Python or NumPy are "
            "drawn only once, so draw from the seed, with tf.random.stateless_…"
        )


def _equal(task: Any, other: Any) -> bool:
    pairs = zip(tf.nest.flatten(task), tf.nest.flatten(other), strict=True)
    return all(bool(tf.reduce_all(a == b)) for a, b in pairs)


class _Wrong(ValueError):
    """An error in the user's function, with its description."""


def _wrong(fault: str) -> _Wrong:
    return _Wrong(
        "`fn` must map a seed, int32 [2], to (support_x, support_y, query_x, query_y) of one "
        f"task, [S, ...], [S, ...], [Q, ...], [Q, ...]. {fault}."
    )
