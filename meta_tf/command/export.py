"""`meta-tf export`: writes a learner as files that learn new tasks without this library."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from meta_tf.command.learners import load
from meta_tf.command.quiet import hidden_stderr
from meta_tf.run.settings import Count


@dataclasses.dataclass(frozen=True)
class Export:
    """What to write, and for which sizes of tasks.

    Args:
      output: the file or folder to write, such as saved_model, or learner.tflite with
        --format=litert; an earlier export is replaced.
      learner: a .keras file, a run's folder, or a shipped learner.
      format: tf_saved_model, a folder for TensorFlow; litert, one file FILE.tflite for devices; or
        onnx, a folder of files. The last two need the extra with the same name.
      ways: the number of classes in a task; the support set has ways x shots examples. Sizes that
        are unset are chosen in each call, if the format and the learner allow it.
      shots: the number of support examples of a class.
      queries: the number of examples that one call predicts.
      float16: round the weights to half of their bytes.
      int8: round those of layers that do not adapt to a quarter of their bytes.
    """

    output: str | Path
    learner: str | Path | None = None
    format: Literal["tf_saved_model", "litert", "onnx"] = "tf_saved_model"
    ways: Count | None = None
    shots: Count | None = None
    queries: Count | None = None
    float16: bool = False
    int8: bool = False


GROUPS = {"export (a SavedModel takes tasks of any size)": [Export, "--import"]}
EXAMPLES = """
  meta-tf export --learner=omniglot_5way_1shot --output=saved_model
  meta-tf export --learner=runs/sinusoid_10shot --output=saved_model
  meta-tf export --learner=omniglot_5way_1shot --format=litert --output=learner.tflite
Files for other runtimes are run and compared with TensorFlow before they are written.
"""


def run(asked: Export) -> None:
    """Writes the learner to `output`."""
    options = {name: value for name, value in vars(asked).items() if name != "learner"}
    learner = load(asked.learner)
    with hidden_stderr(ImportError, ValueError):  # converters print pages
        learner.export(options.pop("output"), verbose=True, **options)
