"""Export: a SavedModel that learns new tasks and needs only TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from meta_tf.export.description import described
from meta_tf.export.signatures import Signatures
from meta_tf.export.specs import input_specs, target_spec
from meta_tf.files import check_replaceable, whole_folder
from meta_tf.learner import MetaLearner
from meta_tf.network.graph_nodes import graph_nodes
from meta_tf.network.layer_state import tables_of


def check_path(path: Path) -> None:
    """Raises ValueError if `path` holds something other than an earlier export."""
    check_replaceable("filepath", path, "export", lambda old: (old / "saved_model.pb").exists())


def save(
    learner: MetaLearner,
    path: str | Path,
    input_signature: Any = None,
    target_signature: Any = None,
) -> list[str]:
    """Writes a learner as a SavedModel; replaces an earlier one only once it is complete.

    Args:
      learner: a `MetaLearner`; see its `export` for the signatures.
      path: the folder to write.
      input_signature: `tf.TensorSpec` of a batch of the model's inputs, [None, ...],
        in the model's structure; the model's own if None.
      target_signature: likewise for the targets; derived from the loss if None.

    Returns:
      The signatures' names.

    Raises:
      ValueError: if the inputs are unknown, or `path` contains something else.
    """
    path = Path(path)
    check_path(path)
    inputs = input_specs(learner.algorithm, learner.network, input_signature)
    targets = target_spec(learner, inputs, target_signature)
    made = Signatures(learner, inputs, targets)
    signatures = made.all()
    module = tf.Module()
    module.learned = [v.value for v in learner.variables]
    module.of_the_head = [v.value for v in made.head.learner.variables] if made.head else []
    module.tables = tables_of(learner.model)
    with whole_folder(path) as part:
        _save_without_custom_gradients(module, part, signatures)
        _describe(learner, part)
    return list(signatures)


def _save_without_custom_gradients(module: tf.Module, folder: Path, signatures: dict) -> None:
    """Writes a SavedModel without references to custom gradients that are not saved with it.

    The gradients of the inner loop are already part of the graph. But an operation with a
    custom gradient still has the gradient's name, which exists only in this process, and
    TensorFlow would warn about each while loading the model: 80 lines that users cannot fix.
    """
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures, options)
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta_graph in saved.meta_graphs:
        for node in graph_nodes(meta_graph.graph_def):
            node.attr.pop("_gradient_op_type", None)
    path.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # it belongs to the unchanged graph


def _describe(learner: MetaLearner, folder: Path) -> None:
    """Writes the settings beside the model, because they are not visible in its graph."""
    algorithm = learner.algorithm
    about: dict[str, Any] = {
        "algorithm": type(algorithm).__name__,
        "settings": algorithm.get_config(),
        "batch_norm": learner.network.batch_norm,
    }
    if learner.pictures and (largest := learner.network.largest_pixel or learner._range.largest):
        about["largest_input"] = largest  # so that a client can refuse pixels of another range
    about |= {name: part for name, part in described(learner).items() if part is not None}
    (folder / "assets.extra").mkdir()
    text = json.dumps(about, indent=2, default=str)
    (folder / "assets.extra" / "meta_tf.json").write_text(text + "\n", encoding="utf-8")
