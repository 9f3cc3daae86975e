"""`map_tasks`: a function of one task, run for all tasks of a batch.

The only place that knows how tasks run side by side. Two ways, measured:

- *parallel*: each task is a small program of its own, several in flight at a
  time, each on one thread. Right for convolutions and recurrent loops, whose
  kernels have no form with weights of many tasks.
- *vectorized*: one program in which each operation works on all tasks, compiled
  by XLA. Right for small dense networks, where calling kernels would cost more
  than they do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

MODES = ("auto", "parallel", "vectorized")

# Operations with weights that cannot be stacked over tasks, and loops.
_KEPT_APART = (
    "Conv",
    "DepthwiseConv",
    "While",
    "StatelessWhile",
    "MaxPool",
    "AvgPool",
    "TensorList",
)
# XLA's second derivative of max-pooling is wrong in float32 and missing in float64.
_WRONG_IN_XLA = ("MaxPoolGradGrad", "MaxPool3DGradGrad")


def map_tasks(
    fn: Callable[[Any], Any],
    tasks: Any,
    *,
    mode: str = "auto",
    jit: bool | str = False,
    in_flight: int | None = None,
) -> Any:
    """Applies `fn` to every task of a batch: `result[t] = fn(tasks[t])`.

    Take gradients inside `fn`: that is many times faster than around `map_tasks`,
    which is possible too.

    Args:
      fn: a function of one task (a structure of tensors) that returns a structure
        of tensors. It must be pure.
      tasks: a structure of tensors, each [T, ...].
      mode: `"parallel"`, `"vectorized"`, or `"auto"`, which looks at the operations
        that `fn` consists of.
      jit: whether XLA compiles the result; `"auto"` does so when vectorized. Not
        done where XLA's second derivatives are wrong (max-pooling), nor when called
        eagerly.
      in_flight: how many tasks run at a time in the mode `parallel`, which bounds
        the memory; the number of cores by default.

    Returns:
      The structure that `fn` returns, each tensor with an axis [T, ...] in front.

    Example:
      >>> map_tasks(lambda t: t["a"] * 2, {"a": tf.constant([1, 2, 3])})
      <tf.Tensor: shape=(3,), dtype=int32, numpy=array([2, 4, 6], dtype=int32)>
    """
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {', '.join(MODES)}. Received: {mode!r}.")
    if tf.executing_eagerly():
        return _one_after_another(fn, tasks)
    one = tf.function(fn, autograph=False).get_concrete_function(
        tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), tasks)
    )
    operations = _operations(one.graph)
    vectorize = mode == "vectorized" or (
        mode == "auto" and not any(op.startswith(_KEPT_APART) for op in operations)
    )

    def run(tasks):
        return _vectorized(fn, tasks) if vectorize else _parallel(one, tasks, in_flight)

    compiled = vectorize if jit == "auto" else jit
    if compiled and not operations.intersection(_WRONG_IN_XLA):
        return tf.function(run, jit_compile=True, autograph=False)(tasks)
    return run(tasks)


def _one_after_another(fn, tasks):
    count = tf.nest.flatten(tasks)[0].shape[0]
    results = [fn(tf.nest.map_structure(lambda x, t=t: x[t], tasks)) for t in range(count)]
    return tf.nest.map_structure(lambda *values: tf.stack(values), *results)


def _parallel(one, tasks, in_flight):
    signature = tf.nest.map_structure(
        lambda t: tf.TensorSpec(t.shape, t.dtype), one.structured_outputs
    )
    return tf.map_fn(
        one,
        tasks,
        fn_output_signature=signature,
        parallel_iterations=in_flight or os.cpu_count(),
    )


def _vectorized(fn, tasks):
    # The random numbers of dropout take a loop, which is all right.
    tf.get_logger().addFilter(_not_about_loops)
    try:
        return tf.vectorized_map(fn, tasks, fallback_to_while_loop=True)
    finally:
        tf.get_logger().removeFilter(_not_about_loops)


def _not_about_loops(record):
    return "Using a while_loop for converting" not in record.getMessage()


def _operations(graph):
    """Names of all kinds of operations in a graph and the functions that it calls."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return {node.op for node in nodes}
