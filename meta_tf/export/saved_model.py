"""Export: a SavedModel that learns new tasks and needs only TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_tf.export.custom_gradients import save_without_custom_gradients
from meta_tf.export.signatures import Signatures
from meta_tf.export.specs import input_specs, target_spec
from meta_tf.files import whole_folder
from meta_tf.network.layer_state import tables_of


def save(
    learner: Any, path: str | Path, input_signature: Any = None, target_signature: Any = None
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
    _check_replaceable(path)
    inputs = input_specs(learner.algorithm, learner.network, input_signature)
    targets = target_spec(learner, inputs, target_signature)
    signatures = Signatures(learner, inputs, targets).all()
    module = tf.Module()
    module.learned = [v.value for v in learner.variables]
    module.tables = tables_of(learner.model)
    with whole_folder(path) as part:
        save_without_custom_gradients(module, part, signatures)
        _describe(learner, part)
    return list(signatures)


def _describe(learner: Any, folder: Path) -> None:
    """Writes the settings beside the model, because they are not visible in its graph."""
    algorithm = learner.algorithm
    about = {
        "algorithm": type(algorithm).__name__,
        "settings": algorithm.get_config(),
        "batch_norm": learner.network.batch_norm,
    }
    (folder / "assets.extra").mkdir()
    text = json.dumps(about, indent=2, default=str)
    (folder / "assets.extra" / "meta_tf.json").write_text(text + "\n", encoding="utf-8")


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / "saved_model.pb").exists()):
        raise ValueError(
            "`filepath` must be a new folder, an empty one or an earlier export, which is "
            f"replaced. Received: {str(path)!r}, which holds something else."
        )
