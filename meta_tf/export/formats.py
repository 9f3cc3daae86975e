"""The formats that a learner can be exported to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from meta_tf.checks import check_choice
from meta_tf.export import litert, onnx, saved_model
from meta_tf.export.description import write_beside
from meta_tf.export.plan import Plan
from meta_tf.export.refused import Refused
from meta_tf.export.request import ROUNDED, Request
from meta_tf.learner import MetaLearner

_OTHERS: dict[str, ModuleType] = {"litert": litert, "onnx": onnx}
FORMATS = ("tf_saved_model", *_OTHERS)


def save(
    learner: MetaLearner,
    path: str | Path,
    format: str,
    request: Request,
    input_signature: Any = None,
    target_signature: Any = None,
) -> str:
    """Writes a learner in one of the `FORMATS`; returns a sentence for the user.

    Args:
      learner: a `MetaLearner`; see its `export`.
      path: the file or folder to write.
      format: one of the `FORMATS`.
      request: the sizes and the precision. A SavedModel takes sets of any size.
      input_signature: `tf.TensorSpec` of a batch of inputs; the model's own if None.
      target_signature: likewise for the targets.

    Raises:
      ImportError: if the package that runs the file is not installed.
      ValueError: if the format cannot express the learner, or an argument is invalid.
    """
    check_choice("format", format, FORMATS)
    _check_request(format, request)
    if format not in _OTHERS:
        names = saved_model.save(learner, path, input_signature, target_signature)
        return (
            f"Saved to {path}, for {request.in_words(1)}, with the signatures {', '.join(names)}."
        )
    writer, path = _OTHERS[format], Path(path)
    check_installed(format, writer.PACKAGES)
    writer.check_path(path)
    try:
        plan = Plan(learner, request, input_signature, target_signature)
        difference = writer.write(plan, path)
    except Refused as error:
        cure = ""
        if None in (request.shots, request.queries):
            cure = "choosing sizes, such as shots=1 and queries=6, makes it easier to export; "
        raise ValueError(
            f"`format={format!r}` is not possible for this learner: {error} Nothing was written; "
            f'{cure}format="tf_saved_model" works for any learner.'
        ) from error
    write_beside(path, learner)
    return (
        f"Saved to {path}, for {plan.takes}. A test run agrees: outputs differ from "
        f"TensorFlow's by at most {difference:.1e} of the largest."
    )


def _check_request(format: str, request: Request) -> None:
    """Raises ValueError if a format does not support the request."""
    for name in ROUNDED:
        if getattr(request, name) and format != "litert":
            raise ValueError(
                f'`{name}` is only for format="litert". Received: {name}=True, format={format!r}.'
            )
    sizes = request.chosen()
    if sizes and format not in _OTHERS:
        received = ", ".join(f"{name}={value}" for name, value in sizes.items())
        raise ValueError(
            f"`format={format!r}` takes support and query sets of any size in each call: leave "
            f"out `ways`, `shots` and `queries`. Received: {received}."
        )


def check_installed(format: str, packages: tuple[str, ...]) -> None:
    """Raises ImportError unless the packages that write and run the files are installed."""
    missing = [p.replace("_", "-") for p in packages if importlib.util.find_spec(p) is None]
    if missing:
        raise ImportError(
            f"`format={format!r}` needs {' and '.join(missing)}, because `export` runs the file "
            f"that it writes. Install it, in a checkout of meta_tf: pip install '.[{format}]'"
        )
