"""A traced function as a self-contained graph: constant weights, inlined calls, folded sizes.

TensorFlow has no public API for this. Its minor version is pinned, and every export is compared
with TensorFlow.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler import tf_optimizer
from tensorflow.python.training.saver import export_meta_graph


def freeze(function: Any) -> tuple[tf.Graph, dict[str, Any]]:
    """The graph of a concrete function, and the functions that its loops call, by name.

    The graph's `inputs` and `outputs` are in the function's order.
    """
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    folded = _fold(frozen)
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(folded, name="")
    graph.inputs = [graph.get_tensor_by_name(t.name) for t in frozen.inputs]
    graph.outputs = [graph.get_tensor_by_name(t.name) for t in frozen.outputs]
    return graph, {f.signature.name: f for f in folded.library.function}


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
