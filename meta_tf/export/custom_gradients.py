"""Removes the references to custom gradients, which an export does not need."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from meta_tf.batch.graph_nodes import graph_nodes

_MARK = "_gradient_op_type"


def save_without_custom_gradients(module: tf.Module, folder: Path, signatures: dict) -> None:
    """Writes a SavedModel without references to custom gradients that are not saved with it.

    The gradients of the inner loop are already part of the graph. But an operation with a
    custom gradient still has the gradient's name, which exists only in this process, and
    TensorFlow would warn about each while loading the model: 80 lines that users cannot fix.

    Args:
      module: holds the variables.
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
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # it belongs to the unchanged graph
