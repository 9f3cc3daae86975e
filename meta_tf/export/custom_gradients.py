"""The marks of custom gradients, which an export has no use for."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from meta_tf.batch.graph_nodes import graph_nodes

_MARK = "_gradient_op_type"


def save_without_custom_gradients(module: tf.Module, folder: Path, signatures: dict) -> None:
    """Writes a SavedModel whose operations do not ask for gradients that are not saved with it.

    The gradients of the inner loop are part of the graph. An operation of a custom gradient
    still bears the name of that, which is known to this process alone, and TensorFlow would
    warn of each as it loads the model: 80 lines that nothing can be done about.

    Args:
      module: what holds the variables.
      folder: the folder to write.
      signatures: the concrete functions by name.
    """
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures, options)
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta_graph in saved.meta_graphs:
        for node in graph_nodes(meta_graph.graph_def):
            node.attr.pop(_MARK, None)
    path.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # of the graph before
