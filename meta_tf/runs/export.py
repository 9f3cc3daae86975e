"""`meta-tf export`: a trained learner as a file that learns new tasks without this library."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from absl import flags

import meta_tf
from meta_tf.command.define import settings_of
from meta_tf.command.settings import Import
from meta_tf.run.settings import Count
from meta_tf.runs.learners import load
from meta_tf.runs.quiet import hidden_stderr


@dataclasses.dataclass(frozen=True)
class Export:
    """What to write.

    Args:
      learner: a .keras file, a run's folder, or a shipped learner.
      output: what to write; an earlier export is replaced.
      format: tf_saved_model, a folder for TensorFlow; litert, one file FILE.tflite for devices;
        onnx, a folder of three files. The last two need the extra of their name.
    """

    learner: str | Path | None = None
    output: str | Path | None = None
    format: Literal["tf_saved_model", "litert", "onnx"] = "tf_saved_model"


@dataclasses.dataclass(frozen=True)
class ExportSizes:
    """For how large tasks.

    Args:
      ways: classes in a task; the learner's if unset.
      shots: support examples of a class; with none, all sizes are chosen at run time.
      queries: examples that one call predicts.
      float16: keep weights in half of the bytes, rounded.
    """

    ways: Count | None = None
    shots: Count | None = 1
    queries: Count = 6
    float16: bool = False


GROUPS = {
    "export": [Export, Import],
    "sizes and precision; a SavedModel takes any sizes": [ExportSizes],
}
WORDS = ()
EXAMPLES = """
  meta-tf export --learner=omniglot_5way_1shot --output=saved_model
  meta-tf export --learner=runs/sinusoid_10shot --output=saved_model
  meta-tf export --learner=omniglot_5way_1shot --format=litert --output=learner.tflite
A file for another runtime than TensorFlow is run and compared with TensorFlow before it is written.
"""


def settings(values: flags.FlagValues, words: Sequence[str]) -> tuple[Export, ExportSizes]:
    """What the flags say."""
    del words
    return settings_of(Export, values), settings_of(ExportSizes, values)


def run(asked: tuple[Export, ExportSizes]) -> None:
    """Writes the learner to `output`."""
    what, sizes = asked
    if not what.output:
        raise ValueError(
            "--output is needed: what to write, such as --output=saved_model, or "
            "--output=learner.tflite for --format=litert."
        )
    learner = load(what.learner)
    with hidden_stderr():  # the converters write pages
        error = _export(learner, what, sizes)
    if error:
        raise RuntimeError(str(error)) from error


def _export(learner: meta_tf.MetaLearner, what: Export, sizes: ExportSizes) -> Exception | None:
    """Exports, and returns what prevents it: that is printed without the converters' pages."""
    try:
        learner.export(what.output, format=what.format, verbose=True, **vars(sizes))
    except (ImportError, ValueError) as error:
        return error
    return None
