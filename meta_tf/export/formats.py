"""The formats that a learner can be exported to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from meta_tf.checks import check_choice
from meta_tf.export import litert, saved_model
from meta_tf.export.plan import Plan
from meta_tf.export.refused import Refused
from meta_tf.export.request import Request

_OTHERS: dict[str, ModuleType] = {"litert": litert}
FORMATS = ("tf_saved_model", *_OTHERS)


def save(
    learner: Any,
    path: str | Path,
    format: str,
    request: Request,
    input_signature: Any = None,
    target_signature: Any = None,
) -> str:
    """Writes a learner in one of the `FORMATS` and returns a sentence about it.

    Args:
      learner: a `MetaLearner`; see its `export`.
      path: the file or folder to write.
      format: one of the `FORMATS`.
      request: for how many examples, and how precise; nothing to a SavedModel.
      input_signature: `tf.TensorSpec` of a batch of inputs; read off the model if None.
      target_signature: likewise of the targets.

    Raises:
      ImportError: if the package that runs the file is not installed.
      ValueError: if the format cannot express the learner, or an argument is wrong.
    """
    check_choice("format", format, FORMATS)
    if format not in _OTHERS:
        if request.float16:
            raise ValueError(
                '`float16` is for format="litert" alone. Received: float16=True, '
                f"format={format!r}."
            )
        names = saved_model.save(learner, path, input_signature, target_signature)
        return f"Saved to {path}, with the signatures {', '.join(names)}."
    writer, path = _OTHERS[format], Path(path)
    _check_installed(format, writer.PACKAGE)
    writer.check_path(path)
    try:
        plan = Plan(learner, request, input_signature, target_signature)
        difference = writer.write(plan, path)
    except Refused as error:
        raise ValueError(
            f"`format={format!r}` is not possible for this learner: {error} Nothing was written; "
            'format="tf_saved_model" takes any learner.'
        ) from error
    return (
        f"Saved to {path}, which was run: it differs from TensorFlow by at most "
        f"{difference:.1e} of a tensor's largest value."
    )


def _check_installed(format: str, package: str) -> None:
    """Raises ImportError unless the package that runs a format is there."""
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f"`format={format!r}` needs the package {package.replace('_', '-')}, which runs what "
            f"was written before it is handed over: pip install 'meta-tf-keras[{format}]'."
        )
