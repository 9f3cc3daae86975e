"""`lower`: rewrites a finished graph, operation by operation.

The graph of an adaptation contains the gradients of its forward pass as separate operations,
which other runtimes lack: the gradient of a convolution, of a pooling, of a normalisation. Here
each operation that has a rule is replaced by that rule, and every other one is copied. The code
does not depend on algorithms or layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from meta_tf.export.lowering import (  # noqa: F401 - they register their rules
    activations,
    broadcasting,
    convolution,
    elementwise,
    linear_algebra,
    losses,
    normalization,
    pooling,
    slices,
)
from meta_tf.export.lowering.freeze import freeze
from meta_tf.export.lowering.rules import RULES
from meta_tf.types import Tensor

_PASSED_OVER = ("Placeholder", "NoOp")


def lower(function: Any) -> Any:
    """A concrete function that computes the same in simpler operations, without variables.

    Args:
      function: a concrete function of named tensors that returns a dictionary of tensors.

    Returns:
      A concrete function with the same names.

    Raises:
      Refused: if an operation cannot be exported.
    """
    graph, library = freeze(function)
    names = [t.op.name for t in graph.inputs]
    specs = {t.op.name: tf.TensorSpec(t.shape, t.dtype, t.op.name) for t in graph.inputs}
    writer = _Writer(library)

    def lowered(**given: Tensor) -> dict[str, Tensor]:
        flat = writer.write(graph, [given[name] for name in names])
        outputs = tf.nest.pack_sequence_as(function.structured_outputs, flat)
        return {name: tf.identity(t) for name, t in outputs.items()}

    return tf.function(lowered, autograph=False).get_concrete_function(**specs)


class _Writer:
    """Writes graphs into the current graph.

    Args:
      library: the functions that they call, by name.
    """

    def __init__(self, library: dict[str, Any]):
        self._library = library
        self._calls = {
            "While": self._loop,
            "StatelessWhile": self._loop,
            "PartitionedCall": self._call,
            "StatefulPartitionedCall": self._call,
        }

    def write(self, graph: Any, inputs: Sequence[Any]) -> list[Tensor]:
        """The outputs of `graph`, for these inputs."""
        new = {t.name: given for t, given in zip(graph.inputs, inputs, strict=True)}
        for op in graph.get_operations():
            if op.type in _PASSED_OVER or (op.outputs and op.outputs[0].name in new):
                continue
            outputs = self._write_one(op, [new[t.name] for t in op.inputs])
            for old, output in zip(op.outputs, outputs, strict=True):
                new[old.name] = tf.convert_to_tensor(output)
        return [new[t.name] for t in graph.outputs]

    def _write_one(self, op: tf.Operation, inputs: list[Tensor]) -> list[Any]:
        write = self._calls.get(op.type) or RULES.get(op.type)
        if write:
            with tf.name_scope(op.name):  # includes the layer's name, for errors and readers
                return write(op, *inputs)
        attributes = {k: v for k, v in op.node_def.attr.items() if not k.startswith("_")}
        here = tf.compat.v1.get_default_graph()
        return here._create_op_internal(
            op.type,
            inputs,
            [t.dtype for t in op.outputs],
            name=op.name,
            attrs=attributes,
            op_def=op.op_def,
        ).outputs

    def _loop(self, op: tf.Operation, *inputs: Tensor) -> list[Tensor]:
        condition, body = self._graph(op, "cond"), self._graph(op, "body")
        return list(
            tf.while_loop(
                lambda *carry: self.write(condition, carry)[0],
                lambda *carry: self.write(body, carry),
                list(inputs),
                parallel_iterations=1,
                shape_invariants=[t.shape for t in op.outputs],
            )
        )

    def _call(self, op: tf.Operation, *inputs: Tensor) -> list[Tensor]:
        return self.write(self._graph(op, "f"), inputs)

    def _graph(self, op: tf.Operation, attribute: str) -> Any:
        return function_def_to_graph(self._library[op.get_attr(attribute).name])
