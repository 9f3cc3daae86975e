"""`map_tasks` and `sum_tasks`: run a function of one task for all tasks of a batch.

This module alone implements how tasks run in parallel. There are two ways, chosen by
measurement:

- *parallel*: each task is a separate small program, several in flight at a time,
  each on one thread. Best for convolutions and recurrent loops, whose kernels
  cannot take the weights of many tasks.
- *vectorized*: each operation works on many tasks, in one program per core,
  compiled by XLA if it is small. Best for dense networks, where calling a kernel
  for one task takes longer than running it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_choice
from meta_tf.network.graph_nodes import graph_nodes, keep_tasks_apart, operations
from meta_tf.network.masks import kept
from meta_tf.types import Tensor, Tensors

SumFunction: TypeAlias = Callable[[Any], tuple[Tensors, Tensors]]
"""A function of one task that returns values to stack and values to sum over the tasks."""

TASK_MODES = ("auto", "parallel", "vectorized")

# XLA's second derivative of max-pooling is wrong in float32 and missing in float64.
_WRONG_IN_XLA = ("MaxPoolGradGrad", "MaxPool3DGradGrad")
# XLA has no lookup tables, as in `StringLookup`, and crashes on strings.
_NOT_IN_XLA = ("LookupTable",)
# XLA takes ten times as long to compile these, and then runs them more slowly.
_SLOWER_IN_XLA = {"Cholesky", "MatrixTriangularSolve"}
# With more operations per task than this, XLA compiles for too long. In a program of many outer
# steps, which uses all cores more steadily than TensorFlow's executor, it takes longer to pay off.
_MOST_COMPILED = {"auto": 2000, "whole": 6000}
# With fewer tasks than this, the call of a separate program costs more than it saves.
_LEAST_SHARE = 4


def map_tasks(
    fn: Callable[[Any], Tensors],
    tasks: Tensors,
    *,
    mode: str = "auto",
    jit: bool | str = False,
    in_flight: int | None = None,
) -> Tensors:
    """Applies `fn` to every task of a batch: `result[t] = fn(tasks[t])`.

    Take gradients inside `fn`. Taking them around `map_tasks` is possible, but many times
    slower.

    Args:
      fn: a function of one task (a structure of tensors) that returns a structure
        of tensors. It must be pure.
      tasks: a structure of tensors, each [T, ...].
      mode: `"parallel"`, `"vectorized"`, or `"auto"`, which chooses by the operations
        in `fn`.
      jit: whether XLA compiles the result; `"auto"` does so when vectorized, unless `fn`
        has thousands of operations or solves linear equations; `"whole"`, for a part of an
        XLA program of many steps, allows three times as many operations. XLA is never used
        where its second derivatives are wrong (max-pooling), nor when called eagerly.
      in_flight: in mode `parallel`, the number of tasks that run at a time, which limits
        the memory; when vectorized, the number of programs that share the tasks. By
        default the number of `cores()`.

    Returns:
      The structure that `fn` returns, each tensor with a leading axis, [T, ...].

    Example:
      >>> map_tasks(lambda t: t["a"] * 2, {"a": tf.constant([1, 2, 3])})
      <tf.Tensor: shape=(3,), dtype=int32, numpy=array([2, 4, 6], dtype=int32)>
    """
    each, _ = sum_tasks(lambda t: (fn(t), ()), tasks, mode=mode, jit=jit, in_flight=in_flight)
    return each


def sum_tasks(
    fn: SumFunction,
    tasks: Tensors,
    *,
    mode: str = "auto",
    jit: bool | str = False,
    in_flight: int | None = None,
) -> tuple[Tensors, Tensors]:
    """Like `map_tasks`, for a function that returns a pair; sums the second over the tasks.

    The sums are accumulated as tasks finish, so their memory does not depend on the number
    of tasks.

    Args:
      fn: a pure function of one task that returns two structures of tensors.
      tasks: a structure of tensors, each [T, ...].
      mode: as in `map_tasks`.
      jit: as in `map_tasks`.
      in_flight: as in `map_tasks`.

    Returns:
      The first structure, each tensor with a leading axis, [T, ...], and the second,
      summed over the tasks.

    Example:
      >>> each, total = sum_tasks(lambda x: (2 * x, x), tf.constant([1, 2, 3]))
      >>> each.numpy(), int(total)
      (array([2, 4, 6], dtype=int32), 6)
    """
    check_choice("mode", mode, TASK_MODES)
    if tf.executing_eagerly():
        return _one_after_another(fn, tasks)
    one = tf.function(fn, autograph=False).get_concrete_function(
        tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), tasks)
    )
    types = operations(one.graph)
    vectorize = mode == "vectorized" or (
        mode == "auto" and not keep_tasks_apart(types) and not _has_differentiated_branch(one.graph)
    )
    whole = jit == "whole"
    if jit in ("auto", "whole"):
        small = len(one.graph.get_operations()) <= _MOST_COMPILED[str(jit)]
        jit = vectorize and small and not types.intersection(_SLOWER_IN_XLA)
    compiled = (
        bool(jit)
        and not types.intersection(_WRONG_IN_XLA)
        and not any(op.startswith(_NOT_IN_XLA) for op in types)
        and all(t.dtype != tf.string for t in tf.nest.flatten(tasks))
    )
    if vectorize:
        shares = _shares(tasks, in_flight or _programs())
        # Not `fn`: it is traced already.
        return _vectorized(one, tasks, shares, compiled, not whole)
    run = tf.function(
        lambda tasks: _parallel(one, tasks, in_flight or cores()),
        jit_compile=compiled or None,
        autograph=False,
    )
    return run(tasks)


def cores() -> int:
    """The number of cores available to this process.

    Returns:
      On Linux, the cores that the process may use; on other systems, those of the machine.

    Example:
      >>> cores() >= 1
      True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_after_another(fn: SumFunction, tasks: Tensors) -> tuple[Tensors, Tensors]:
    count = tf.nest.flatten(tasks)[0].shape[0]
    results = [fn(tf.nest.map_structure(lambda x, t=t: x[t], tasks)) for t in range(count)]
    each = tf.nest.map_structure(lambda *values: tf.stack(values), *(r[0] for r in results))
    return each, tf.nest.map_structure(lambda *values: tf.add_n(values), *(r[1] for r in results))


def _parallel(one: Any, tasks: Tensors, in_flight: int) -> tuple[Tensors, Tensors]:
    """A loop whose iterations overlap; only the sums wait for the previous iteration."""
    each, total = one.structured_outputs
    flat = tf.nest.flatten(tasks)
    count = tf.shape(flat[0])[0]
    kept = [tf.TensorArray(t.dtype, count, element_shape=t.shape) for t in tf.nest.flatten(each)]
    sums = [tf.zeros(t.shape, t.dtype) for t in tf.nest.flatten(total)]

    def body(t: Tensor, kept: list[Any], sums: list[Tensor]) -> tuple[Any, Any, Any]:
        each, total = one(tf.nest.map_structure(lambda x: x[t], tasks))
        kept = [k.write(t, e) for k, e in zip(kept, tf.nest.flatten(each), strict=True)]
        sums = [s + e for s, e in zip(sums, tf.nest.flatten(total), strict=True)]
        return t + 1, kept, sums

    _, kept, sums = tf.while_loop(
        lambda t, *_: t < count,
        body,
        (tf.constant(0), kept, sums),
        maximum_iterations=flat[0].shape[0],
        parallel_iterations=in_flight,
    )
    stacked = [k.stack() for k in kept]
    return tf.nest.pack_sequence_as(each, stacked), tf.nest.pack_sequence_as(total, sums)


def _vectorized(
    one: SumFunction, tasks: Tensors, shares: int, compiled: bool, equal: bool
) -> tuple[Tensors, Tensors]:
    """Runs one program per share, each for its part of the tasks; see `_parts`."""

    def run(tasks: Tensors, counted: Tensor | None = None) -> tuple[Tensors, Tensors]:
        each, total = _all_at_once(one, tasks)
        if counted is not None:
            total = tf.nest.map_structure(lambda t: kept(t, counted), total)
        return each, tf.nest.map_structure(lambda t: tf.reduce_sum(t, 0), total)

    program = tf.function(run, jit_compile=compiled or None, autograph=False)
    if shares == 1:
        return program(tasks)
    parts, results = _parts(tf.nest.flatten(tasks)[0].shape[0], shares, equal), []
    for first, last, skip in parts:
        # XLA would compile the program again for another `first`.
        part = tf.nest.map_structure(lambda t, a=first, b=last: t[a:b], tasks)
        counted = [tf.constant(np.arange(last - first) >= skip)] if parts[-1].skip else []
        each, total = program(part, *counted)
        results.append((tf.nest.map_structure(lambda t, skip=skip: t[skip:], each), total))
    each = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *(r[0] for r in results))
    return each, tf.nest.map_structure(lambda *parts: tf.add_n(parts), *(r[1] for r in results))


class _Part(NamedTuple):
    """The tasks from `first` to `last`; the part before has `skip` of them too."""

    first: int
    last: int
    skip: int


def _parts(count: int, shares: int, equal: bool) -> list[_Part]:
    """The parts of the tasks.

    If `equal`, all have the same size, so that there is one program to trace and to compile. If
    the tasks cannot be divided equally, the last part begins earlier, and leaves out of its results
    the tasks that it has in common with the part before. Within one program of many steps, there
    is nothing to share, and no task is computed twice.
    """
    if not equal:
        ends = [count * share // shares for share in range(shares + 1)]
        return [_Part(first, last, 0) for first, last in itertools.pairwise(ends)]
    size = -(-count // shares)
    lasts = [min(first + size, count) for first in range(0, count, size)]
    again = size * len(lasts) - count
    return [_Part(last - size, last, again if last == count else 0) for last in lasts]


def _shares(tasks: Tensors, most: int) -> int:
    """The number of programs that share the tasks."""
    shape = tf.nest.flatten(tasks)[0].shape
    known = all(t.shape.is_fully_defined() for t in tf.nest.flatten(tasks))
    return max(1, min(most, shape[0] // _LEAST_SHARE)) if known else 1


def _programs() -> int:
    # Programs on a GPU run one after another anyway.
    return 1 if tf.config.list_logical_devices("GPU") else cores()


def _all_at_once(one: Any, tasks: Tensors) -> tuple[Tensors, Tensors]:
    # Dropout's random numbers use a loop, which is expected.
    tf.get_logger().addFilter(_not_about_loops)
    try:
        return tf.vectorized_map(_written_out(one), tasks, fallback_to_while_loop=True)
    finally:
        tf.get_logger().removeFilter(_not_about_loops)


def _written_out(one: Any) -> Callable[[Any], Any]:
    """A function that adds the operations of `one` to a graph, instead of a call.

    TensorFlow vectorizes a call by making another function of it, with a copy of each constant.
    """
    definition = one.graph.as_graph_def()
    if definition.library.function:  # importing loses what vectorizing their calls needs
        return one
    inputs = [t.name for t in one.inputs]
    outputs = [t.name for t in tf.nest.flatten(one.structured_outputs)]

    def write(task: Tensors) -> Tensors:
        graph = tf.compat.v1.get_default_graph()
        values = [*tf.nest.flatten(task), *(graph.capture(t) for t in one.captured_inputs)]
        names = dict(zip(inputs, values, strict=True))
        results = tf.graph_util.import_graph_def(definition, names, outputs, name="task")
        return tf.nest.pack_sequence_as(one.structured_outputs, results)

    return write


def _not_about_loops(record: Any) -> bool:
    return "Using a while_loop for converting" not in record.getMessage()


def _has_differentiated_branch(graph: Any) -> bool:
    """Whether a gradient passes through a branch of a layer, such as SpectralNormalization's.

    TensorFlow cannot vectorise it. Branches that contain gradients are no problem.
    """
    nodes = graph_nodes(graph.as_graph_def())
    return any(node.op in ("If", "StatelessIf") and "grad" in node.name for node in nodes)
