"""Tasks of different sizes in one batch: padded in the batch, cut before a task is learned.

A padded batch has the numbers of real examples per task; these come first, then the padding:

    x = {..., "support_size": [T], "query_size": [T]}

Losses, algorithms and layers get no mask. The function of one task cuts off the padding, so it
learns from exactly the same tensors as without padding. Such tasks run in mode `parallel` and
without XLA, whose programs have one fixed shape. For the same reason, the steps of a `fit` with
`steps_per_execution` do not run as one XLA program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.masks import kept
from meta_tf.require import require
from meta_tf.types import Tensor, Tensors

SIZE_KEYS = ("support_size", "query_size")
# The size with the number of real rows of each entry.
_SIZE_OF = {
    "support_x": "support_size",
    "support_y": "support_size",
    "query_x": "query_size",
    "query_y": "query_size",
    "predictions": "query_size",
}


def sizes_in(x: dict[str, Tensors]) -> dict[str, Tensor]:
    """The sizes of a batch (or a task), by key; empty without padding."""
    return {name: x[name] for name in SIZE_KEYS if name in x}


def how_to_run(x: dict[str, Tensors], mode: str, jit: bool | str) -> dict[str, Any]:
    """The options of `map_tasks` for a batch: `mode` and `jit`, unless the batch has sizes."""
    return {"mode": "parallel", "jit": False} if sizes_in(x) else {"mode": mode, "jit": jit}


def check_sizes(x: dict[str, Any]) -> None:
    """Raises ValueError unless a batch has both sizes or none, as integers [T]."""
    sizes = sizes_in(x)
    if len(sizes) == 1:
        raise ValueError(
            "A padded batch must have both `support_size` [T] and `query_size` [T]. Received: "
            f"only `{next(iter(sizes))}`. Pass both, or neither."
        )
    for name, size in sizes.items():
        shape, dtype = getattr(size, "shape", None), getattr(size, "dtype", None)
        tasks = keras.tree.flatten(x["support_x"])[0].shape[0]
        if shape is None or len(shape) != 1 or not tf.as_dtype(dtype).is_integer:
            got = type(size).__name__
            if shape is not None:
                got = f"{tf.as_dtype(dtype).name} of shape {tuple(shape)}"
            raise ValueError(
                f"`{name}` must be integers [T], the number of real examples of each task. "
                f"Received: {got}."
            )
        if None not in (tasks, shape[0]) and shape[0] != tasks:
            raise ValueError(
                f"`{name}` must have one number for each of the {tasks} tasks. Received: shape "
                f"{tuple(shape)}."
            )


def blank_padding(x: dict[str, Tensors]) -> dict[str, Tensors]:
    """A batch with its padding replaced by zeros; padding may contain NaN or invalid labels.

    Args:
      x: a batch, with or without its targets as `query_y`. A batch without sizes is returned
        unchanged.

    Raises:
      ValueError: if a size is below 1 or above the number of rows; see `require`.
    """
    blanked = dict(x)
    checks = []
    for name, size in sizes_in(x).items():
        sets = [key for key, of in _SIZE_OF.items() if of == name and key in x]
        rows = _rows(x[sets[0]], axis=1)
        checks.append(
            require(
                (size >= 1) & (size <= tf.cast(rows, size.dtype)),
                f"`{name}` must be between 1 and the batch's number of rows per task. Received: "
                "other sizes. Leave out tasks without examples.",
            )
        )
        with tf.control_dependencies([check for check in checks if check is not None]):
            real = tf.sequence_mask(size, rows)  # [T, S]
        for key in sets:
            blanked[key] = tf.nest.map_structure(lambda t, real=real: kept(t, real), x[key])
    return blanked


def cut(task: dict[str, Tensors]) -> dict[str, Tensors]:
    """A task without its padding; a task without sizes is returned unchanged.

    Args:
      task: any of `support_x`, `support_y`, `query_x`, `query_y` and `predictions` of one task,
        and its sizes, scalars.
    """
    real = dict(task)
    for name, of in _SIZE_OF.items():
        if name in task and of in task:
            size = task[of]
            real[name] = tf.nest.map_structure(lambda t, size=size: t[:size], task[name])
    return real


def task_of(batch: dict[str, Tensors], number: int | Tensor) -> dict[str, Tensors]:
    """The task with this number in a batch, without its padding."""
    return cut(tf.nest.map_structure(lambda t: t[number], batch))


def padded(predictions: Tensors, task: dict[str, Tensors], axis: int = 0) -> Tensors:
    """Predictions for a task's real queries, padded with zeros to the number of rows of `query_x`.

    Args:
      predictions: for the task after `cut`.
      task: the whole task. If it has no sizes, predictions are returned unchanged.
      axis: the axis of the queries.
    """
    if not sizes_in(task):
        return predictions
    rows = _rows(task["query_x"], axis=0)

    def pad(p: Tensor) -> Tensor:
        missing = [[0, rows - tf.shape(p)[i] if i == axis else 0] for i in range(p.shape.rank)]
        static = [rows if i == axis else n for i, n in enumerate(p.shape)]
        known = [None if tf.is_tensor(n) else n for n in static]
        return tf.ensure_shape(tf.pad(p, missing), known)

    return tf.nest.map_structure(pad, predictions)


def each_by_itself(fn: Callable[[dict[str, Tensors]], Any], tasks: dict[str, Tensors]) -> None:
    """Calls a function that updates variables once for each task, cut, as a batch of one task.

    Args:
      fn: takes a batch of one task without padding. Its return value is ignored.
      tasks: as for `cut`, with a leading task axis.
    """

    def body(t: Tensor) -> tuple[Tensor]:
        task = task_of(tasks, t)
        fn(tf.nest.map_structure(lambda x: x[tf.newaxis], task))
        return (t + 1,)

    count = tf.shape(tasks["query_size"])[0]
    tf.while_loop(lambda t: t < count, body, (tf.constant(0),), parallel_iterations=1)


def _rows(tensors: Tensors, axis: int) -> int | Tensor:
    first = tf.nest.flatten(tensors)[0]
    return tf.shape(first)[axis] if first.shape[axis] is None else first.shape[axis]
