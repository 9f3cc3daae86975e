"""Many steps: `repeat` for gradients through all of them, `record` for values after each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf

from meta_tf.network.graph_nodes import keep_tasks_apart, operations
from meta_tf.types import Tensor, Tensors

Step: TypeAlias = Callable[[Any, Any, Any], Any]
"""`carry = step(i, carry, constants)`."""


def repeat(
    step: Step,
    carry: Tensors,
    constants: Tensors,
    count: int | Tensor,
    *,
    unroll: int,
    share: bool = False,
) -> Tensors:
    """Applies `carry = step(i, carry, constants)` for i = 0 … count - 1.

    Up to `unroll` steps are unrolled, which is fastest, but keeps all intermediate values of
    every step for the outer gradient. More steps run in a loop that keeps only each step's
    carry and recomputes the step in the backward pass.

    Args:
      step: a pure function of the step's number, the carry and the constants. It must not
        use any other tensor that needs a gradient.
      carry: a structure of tensors; `step` returns the same structure.
      constants: a structure of tensors that do not change from step to step;
        gradients flow to them too.
      count: the number of steps, an int or a scalar tensor.
      unroll: the largest number of steps to unroll, if `count` is an int.
      share: whether unrolled steps are traced once and inlined by TensorFlow: the first call is
        faster, and the step gets its number as a tensor. Steps that keep tasks apart always
        are; in vectorized tasks, shared steps take longer, with more operations.

    Returns:
      The carry after the last step.
    """
    if isinstance(count, int) and count <= unroll:
        if count > 1 and not tf.executing_eagerly():
            once = tf.function(lambda i, carry: step(i, carry, constants), autograph=False)
            traced = once.get_concrete_function(tf.constant(0), carry)
            if share or keep_tasks_apart(operations(traced.graph)):
                for i in range(count):
                    carry = once(tf.constant(i), carry)
                return carry
        for i in range(count):
            carry = step(i, carry, constants)
        return carry
    checkpointed = _recomputing(step)
    flat = tf.nest.flatten(carry)
    final = tf.while_loop(
        lambda i, *_: i < count,
        lambda i, *flat: (
            i + 1,
            *tf.nest.flatten(checkpointed(i, tf.nest.pack_sequence_as(carry, flat), constants)),
        ),
        (tf.constant(0), *flat),
        shape_invariants=(tf.TensorShape([]), *(t.shape for t in flat)),
        maximum_iterations=count if isinstance(count, int) else None,
        parallel_iterations=1,
    )
    return tf.nest.pack_sequence_as(carry, final[1:])


def record(
    step: Step,
    carry: Tensors,
    constants: Tensors,
    count: int,
    read: Callable[[Any], Tensors],
) -> Tensors:
    """The values of `read` for the carry after 0, 1, … `count` steps.

    Uses a loop, so that fifty steps are traced as quickly as one. Not intended for gradients.

    Args:
      step: a pure function of the step's number, the carry and the constants.
      carry: a structure of tensors; `step` returns the same structure.
      constants: a structure of tensors that do not change from step to step.
      count: the number of steps.
      read: a pure function from the carry to a structure of tensors.

    Returns:
      The structure that `read` returns, each tensor with a leading axis, [count + 1, ...].
    """
    first, flat = read(carry), tf.nest.flatten(carry)
    records = [
        tf.TensorArray(t.dtype, count + 1, element_shape=t.shape).write(0, t)
        for t in tf.nest.flatten(first)
    ]

    def body(
        i: Tensor, flat: list[Tensor], records: list[Any]
    ) -> tuple[Tensor, list[Tensor], list[Any]]:
        after = step(i, tf.nest.pack_sequence_as(carry, flat), constants)
        values = tf.nest.flatten(read(after))
        records = [r.write(i + 1, v) for r, v in zip(records, values, strict=True)]
        return i + 1, tf.nest.flatten(after), records

    _, _, records = tf.while_loop(
        lambda i, *_: i < count,
        body,
        (tf.constant(0), flat, records),
        maximum_iterations=count,
        parallel_iterations=1,
    )
    return tf.nest.pack_sequence_as(first, [r.stack() for r in records])


def _recomputing(step: Step) -> Step:
    """`step`, with a gradient that reruns the step instead of storing intermediate values."""

    def wrapped(i: Tensor, carry: Tensors, constants: Tensors) -> Tensors:
        inputs = tf.nest.flatten((carry, constants))
        floating = [k for k, t in enumerate(inputs) if t.dtype.is_floating]

        def run(i: Tensor, inputs: list[Tensor]) -> list[Tensor]:
            outputs = step(i, *tf.nest.pack_sequence_as((carry, constants), inputs))
            return tf.nest.flatten(outputs)

        # Every tensor is an argument, because a custom gradient inside a while_loop cannot
        # capture tensors. For constants of layers, see `_known_to_this_graph`.
        @tf.custom_gradient
        def pure(i: Tensor, *inputs: Tensor) -> tuple[Any, Any]:
            def backward(*upstream: Tensor, variables: Any = ()) -> Any:
                # Wait for the incoming gradient; otherwise all steps are recomputed at once.
                with tf.control_dependencies([u for u in upstream if u is not None]):
                    again = [tf.identity(t) for t in inputs]
                watched = [again[k] for k in floating]
                with (
                    _known_to_this_graph(constants_inside),
                    tf.GradientTape(watch_accessed_variables=False) as tape,
                ):
                    tape.watch(watched)
                    outputs = run(i, again)
                pairs = [
                    (o, u) for o, u in zip(outputs, upstream, strict=True) if o.dtype.is_floating
                ]
                found = tape.gradient(
                    [o for o, _ in pairs],
                    watched,
                    output_gradients=[u for _, u in pairs],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                gradients: list[Tensor | None] = [None] * (1 + len(inputs))
                for k, gradient in zip(floating, found, strict=True):
                    gradients[1 + k] = tf.convert_to_tensor(gradient)
                # A layer can hold variables that Keras does not track; they are not weights either.
                return (
                    (gradients, [tf.zeros_like(v) for v in variables]) if variables else gradients
                )

            outputs = tuple(run(i, list(inputs)))
            constants_inside = _constants_in_this_graph()
            return outputs, backward

        return tf.nest.pack_sequence_as(carry, pure(i, *inputs))

    return wrapped


def _constants_in_this_graph() -> list[tuple[Tensor, Tensor]]:
    """The eager tensors captured by the graph being traced, with their tensors in that graph."""
    if tf.executing_eagerly():
        return []
    captures = tf.compat.v1.get_default_graph().captures
    return [(one, inside) for one, inside in captures if not tf.is_symbolic_tensor(one)]


@contextlib.contextmanager
def _known_to_this_graph(constants: list[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Lets a step with eager tensors run in the gradient graph of a loop.

    TensorFlow fails if such a graph captures an eager tensor itself (such as a constant that a
    layer made when it was built), but not if the loop has already captured it.
    """
    if tf.executing_eagerly():
        yield
        return
    graph = tf.compat.v1.get_default_graph()
    known = graph.function_captures
    added = [
        (constant, graph.capture(inside))
        for constant, inside in constants
        if inside.graph is not graph and id(constant) not in known.by_val_internal
    ]
    for constant, inside in added:
        known.add_or_replace(key=id(constant), external=constant, internal=inside)
    try:
        yield
    finally:
        for constant, _ in added:
            known.pop(id(constant))
