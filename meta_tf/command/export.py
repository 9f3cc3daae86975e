"""`meta-tf export`: a trained learner as a file that learns new tasks without this library."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any, Literal

import meta_tf
from meta_tf.command.define import settings_of
from meta_tf.command.learners import load
from meta_tf.command.quiet import hidden_stderr
from meta_tf.run.settings import Count


@dataclasses.dataclass(frozen=True)
class Export:
    """What to write, and for how large tasks; a SavedModel takes any sizes.

    Args:
      learner: a .keras file, a run's folder, or a shipped learner.
      output: what to write; an earlier export is replaced.
      format: tf_saved_model, a folder for TensorFlow; litert, one file FILE.tflite for devices;
        onnx, a folder of three files. The last two need the extra of their name.
      ways: classes in a task, for a support set of ways x shots examples. What is unset is chosen
        at each call, where the format and the learner allow that.
      shots: support examples of a class.
      queries: examples that one call predicts.
      float16: keep weights in half of the bytes, rounded.
    """

    learner: str | Path | None = None
    output: str | Path | None = None
    format: Literal["tf_saved_model", "litert", "onnx"] = "tf_saved_model"
    ways: Count | None = None
    shots: Count | None = None
    queries: Count | None = None
    float16: bool = False


GROUPS = {"export; a SavedModel takes tasks of any sizes": [Export, "--import"]}
EXAMPLES = """
  meta-tf export --learner=omniglot_5way_1shot --output=saved_model
  meta-tf export --learner=runs/sinusoid_10shot --output=saved_model
  meta-tf export --learner=omniglot_5way_1shot --format=litert --output=learner.tflite
A file for another runtime than TensorFlow is run and compared with TensorFlow before it is written.
"""
settings = functools.partial(settings_of, Export)


def run(asked: Export) -> None:
    """Writes the learner to `output`."""
    if not asked.output:
        raise ValueError(
            "--output is needed: what to write, such as --output=saved_model, or "
            "--output=learner.tflite for --format=litert."
        )
    options = {name: value for name, value in vars(asked).items() if name != "learner"}
    learner = load(asked.learner)
    with hidden_stderr():  # the converters write pages
        error = _export(learner, options)
    if error:
        raise RuntimeError(str(error)) from error


def _export(learner: meta_tf.MetaLearner, options: dict[str, Any]) -> Exception | None:
    """Exports, and returns what prevents it: that is printed without the converters' pages."""
    try:
        learner.export(options.pop("output"), verbose=True, **options)
    except (ImportError, ValueError) as error:
        return error
    return None
