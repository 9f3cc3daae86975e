"""ONNX: a file for each signature, for onnxruntime and what else reads the format."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.export.plan import Plan
from meta_tf.export.random_tasks import Arrays
from meta_tf.export.refused import Refused
from meta_tf.files import whole_folder

PACKAGES = ("onnxruntime", "tf2onnx")  # what runs the files, and what makes them
_OPSET = 17  # from 18 on tf2onnx 1.17 takes means of images of one pixel over wrong axes


def check_path(path: Path) -> None:
    """Raises ValueError unless a folder of files for ONNX can be written there."""
    if not path.exists():
        return
    if not path.is_dir() or any(file.suffix != ".onnx" for file in path.iterdir()):
        raise ValueError(
            '`filepath` must be a new folder for format="onnx", an empty one or an earlier '
            f"export, which is replaced. Received: {str(path)!r}, which holds something else."
        )


def write(plan: Plan, path: Path) -> float:
    """Writes `adapt.onnx`, `predict.onnx` and `adapt_and_predict.onnx` into a folder.

    They are run before the folder takes its place.

    Args:
      plan: what to write.
      path: the folder.

    Returns:
      The largest relative difference from TensorFlow that was seen.

    Raises:
      Refused: if ONNX cannot express what the learner does, or computes something else.
    """
    models = {name: _convert(name, f) for name, f in plan.lowered().items()}
    runner = _Runner(models)
    difference = plan.compare(runner.run)
    with whole_folder(path) as part:
        part.mkdir()
        for name, model in models.items():
            (part / f"{name}.onnx").write_bytes(model)
    return difference


class _Runner:
    """Runs files that are still in memory."""

    def __init__(self, models: dict[str, bytes]):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised
        self._sessions = {}
        for name, model in models.items():
            try:
                self._sessions[name] = onnxruntime.InferenceSession(
                    model, options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # onnxruntime has errors of many kinds
                raise Refused(f"onnxruntime does not load it: {_one_line(error)}") from error

    def run(self, name: str, inputs: Arrays) -> Arrays:
        """The outputs of a signature, by name."""
        session = self._sessions[name]
        names = [output.name for output in session.get_outputs()]
        try:
            values = session.run(names, {n: np.asarray(a) for n, a in inputs.items()})
        except Exception as error:
            raise Refused(f"onnxruntime does not run it: {_one_line(error)}") from error
        return dict(zip(names, values, strict=True))


def _convert(name: str, function: Any) -> bytes:
    """A concrete function of tensors by name as a model of ONNX."""
    import onnx
    import tf2onnx

    specs = list(function.structured_input_signature[1].values())

    def positional(*tensors: Any) -> Any:
        return function(**{s.name: t for s, t in zip(specs, tensors, strict=True)})

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what goes wrong is found below
    try:
        model, _ = tf2onnx.convert.from_function(
            tf.function(positional, input_signature=specs, autograph=False),
            input_signature=specs,
            opset=_OPSET,
        )
    except Exception as error:  # tf2onnx has errors of many kinds
        raise Refused(f"the converter for ONNX says of {name}: {_one_line(error)}") from error
    unknown = [
        f"{node.op_type} of {node.name!r}"
        for node in model.graph.node
        if not node.domain and not onnx.defs.has(node.op_type, "")
    ]
    if unknown:
        raise Refused(f"ONNX has no operation for {', '.join(unknown)}.")
    return model.SerializeToString()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
