"""A traced function as a self-contained graph: constant weights, inlined calls, folded sizes.

TensorFlow has no public API for this. Its minor version is pinned, and every export is compared
with TensorFlow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.framework import convert_to_constants
from tensorflow.python.grappler import tf_optimizer
from tensorflow.python.training.saver import export_meta_graph

_LARGE = 1024  # numbers; a graph with larger constants takes long to copy, and memory


class Frozen(NamedTuple):
    """The graph of a concrete function.

    Attributes:
      graph: its `inputs` and `outputs` are in the function's order.
      library: the functions that its loops call, by name.
      variables: the large variables, which are not constants, by the name of the tensor that
        reads them.
    """

    graph: tf.Graph
    library: dict[str, Any]
    variables: dict[str, tf.Variable]


def freeze(function: Any) -> Frozen:
    """The graph of a concrete function, with constants in place of small variables."""
    large = _large_variables(function)
    data = convert_to_constants._FunctionConverterDataInEager(
        func=function,
        lower_control_flow=False,
        aggressive_inlining=False,
        variable_names_denylist=large,
    )
    frozen = convert_to_constants._construct_concrete_function(
        function, *convert_to_constants._replace_variables_by_constants(data)
    )
    folded = _fold(frozen)
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(folded, name="")
    graph.inputs = [graph.get_tensor_by_name(t.name) for t in frozen.inputs]
    graph.inputs = [t for t in graph.inputs if t.op.name not in large]
    graph.outputs = [graph.get_tensor_by_name(t.name) for t in frozen.outputs]
    reads = [op for op in graph.get_operations() if op.type == "ReadVariableOp"]
    variables = {op.outputs[0].name: large[op.inputs[0].op.name] for op in reads}
    return Frozen(graph, {f.signature.name: f for f in folded.library.function}, variables)


def _large_variables(function: Any) -> dict[str, tf.Variable]:
    """The large variables of a function that it only reads, by the name of their placeholder."""
    variables = {id(v.handle): v for v in function.graph.variables}
    found = {}
    for handle, placeholder in function.graph.captures:
        variable = variables.get(id(handle))
        read = all(op.type == "ReadVariableOp" for op in placeholder.consumers())
        if variable is not None and variable.shape.num_elements() >= _LARGE and read:
            found[placeholder.op.name] = variable
    return found


def _fold(frozen: Any) -> Any:
    """The graph after constant folding, without any other grappler pass.

    Folding removes most size computations, and the operations that find broadcast axes.
    """
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.append("constfold")
    options.min_graph_nodes = -1
    options.meta_optimizer_iterations = options.TWO
    graph = export_meta_graph(graph_def=frozen.graph.as_graph_def(), graph=frozen.graph)
    kept = meta_graph_pb2.CollectionDef()
    kept.node_list.value.extend(t.name for t in (*frozen.inputs, *frozen.outputs))
    graph.collection_def["train_op"].CopyFrom(kept)
    return tf_optimizer.OptimizeGraph(config, graph)
