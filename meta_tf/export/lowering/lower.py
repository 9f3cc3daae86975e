"""`lower`: rewrites a finished graph, operation by operation.

The graph of an adaptation contains the gradients of its forward pass as separate operations,
which other runtimes lack: the gradient of a convolution, of a pooling, of a normalisation. Here
each operation that has a rule is replaced by that rule, and every other one is copied. The code
does not depend on algorithms or layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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


class Lowered(NamedTuple):
    """A function in simpler operations.

    Attributes:
      function: a concrete function with the names of the original one, and of its weights.
      weights: the large variables of the original function, by the names of those inputs. Small
        ones are constants.
    """

    function: Any
    weights: dict[str, tf.Variable]

    def with_weights(self) -> Any:
        """The concrete function without the inputs for its weights: it reads the variables."""
        specs = {
            name: s for name, s in inputs_of(self.function).items() if name not in self.weights
        }

        def bound(**given: Tensor) -> dict[str, Tensor]:
            return self.function(**given, **{n: v.read_value() for n, v in self.weights.items()})

        return tf.function(bound, autograph=False).get_concrete_function(**specs)


def inputs_of(function: Any) -> dict[str, tf.TensorSpec]:
    """The inputs of a concrete function of named tensors."""
    return function.structured_input_signature[1]


def lower(function: Any) -> Lowered:
    """Writes a function in operations that other runtimes have.

    Args:
      function: a concrete function of named tensors that returns a dictionary of tensors.

    Raises:
      Refused: if an operation cannot be exported.
    """
    frozen = freeze(function)
    names = [t.op.name for t in frozen.graph.inputs]
    specs = {t.op.name: tf.TensorSpec(t.shape, t.dtype, t.op.name) for t in frozen.graph.inputs}
    weights = {f"weight_{i}": variable for i, variable in enumerate(frozen.variables.values())}
    of_weights = {n: tf.TensorSpec(v.shape, v.dtype, n) for n, v in weights.items()}

    def lowered(**given: Tensor) -> dict[str, Tensor]:
        read = dict(zip(frozen.variables, (given[name] for name in weights), strict=True))
        flat = _Writer(frozen.library).write(frozen.graph, [given[n] for n in names], read)
        outputs = tf.nest.pack_sequence_as(function.structured_outputs, flat)
        return {name: tf.identity(t) for name, t in outputs.items()}

    traced = tf.function(lowered, autograph=False).get_concrete_function(**specs, **of_weights)
    return Lowered(traced, weights)


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

    def write(
        self, graph: Any, inputs: Sequence[Any], read: Mapping[str, Tensor] | None = None
    ) -> list[Tensor]:
        """The outputs of `graph`, for these inputs, and for tensors that it would read, by name."""
        new = dict(zip((t.name for t in graph.inputs), inputs, strict=True)) | dict(read or {})
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

        def step(*carry: Tensor) -> list[Tensor]:
            after = self.write(body, carry)
            for tensor, output in zip(after, op.outputs, strict=True):
                tensor.set_shape(output.shape)  # in other operations, a size can be unknown
            return after

        return list(
            tf.while_loop(
                lambda *carry: self.write(condition, carry)[0],
                step,
                list(inputs),
                parallel_iterations=1,
                shape_invariants=[t.shape for t in op.outputs],
            )
        )

    def _call(self, op: tf.Operation, *inputs: Tensor) -> list[Tensor]:
        return self.write(self._graph(op, "f"), inputs)

    def _graph(self, op: tf.Operation, attribute: str) -> Any:
        return function_def_to_graph(self._library[op.get_attr(attribute).name])
