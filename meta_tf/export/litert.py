"""LiteRT (formerly TensorFlow Lite): one small file that adapts and predicts on a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tensorflow as tf

from meta_tf.export.half_weights import with_half_weights
from meta_tf.export.plan import Plan
from meta_tf.export.random_tasks import Arrays
from meta_tf.export.refused import Refused
from meta_tf.export.request import Request
from meta_tf.files import temporary_folder, whole_file

PACKAGES = ("ai_edge_litert",)  # what runs the file
_UNKNOWN = re.compile(r"\btf\.([A-Z]\w+)")
_ERRORS = (RuntimeError, ValueError)


def check_path(path: Path) -> None:
    """Raises ValueError unless `path` is valid for a LiteRT file."""
    if path.suffix != ".tflite" or path.is_dir():
        raise ValueError(
            '`filepath` must end in .tflite for format="litert", which writes one file. Received: '
            f"{str(path)!r}."
        )


def write(plan: Plan, path: Path) -> float:
    """Writes a file that uses only built-in operations, after a test run.

    Args:
      plan: the functions to write.
      path: the file.

    Returns:
      The largest relative difference from TensorFlow in the test run.

    Raises:
      Refused: if LiteRT cannot express the learner, or computes something else.
    """
    functions = {name: lowered.with_weights() for name, lowered in plan.lowered().items()}
    content = _convert(functions, plan.request)
    try:
        difference = plan.compare(_Runner(content).run)
    except Refused:
        raise
    except _ERRORS as error:  # the interpreter's own
        raise Refused(f"LiteRT cannot run its converter's file: {_first_line(error)}") from error
    with whole_file(path) as part:
        part.write_bytes(content)
    return difference


class _Runner:
    """Runs the signatures of a file."""

    def __init__(self, content: bytes):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=content)

    def run(self, name: str, inputs: Arrays) -> Arrays:
        """The outputs of a signature, by name, for inputs of any size that it allows."""
        return self._interpreter.get_signature_runner(name)(**inputs)


def _convert(functions: dict[str, Any], request: Request) -> bytes:
    """What is written into the file."""
    with temporary_folder() as path:
        folder = str(path)
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        module = tf.Module()
        module.weights = [v for f in functions.values() for v in f.variables]
        tf.saved_model.save(module, folder, functions, options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if request.int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        try:
            content = converter.convert()
        except Exception as error:  # the converter raises many kinds of errors
            raise Refused(_reason(error, functions)) from error
    return with_half_weights(content) if request.float16 else content


def _reason(error: Exception, functions: dict[str, Any]) -> str:
    """The operations that the converter does not support, with their names; or its message."""
    places = dict.fromkeys(_UNKNOWN.findall(str(error)), "")
    for function in functions.values():
        inner = [f.graph for f in function.graph._functions.values() if hasattr(f, "graph")]
        for graph in (function.graph, *inner):
            places |= {op.type: op.name for op in graph.get_operations() if op.type in places}
    if not places:
        return f"the LiteRT converter reports: {_first_line(error)}"
    listed = ", ".join(f"{kind} of {name!r}" if name else kind for kind, name in places.items())
    cure = ""
    if any("TensorList" in kind for kind in places):
        cure = " It comes from a loop inside a layer: in a recurrent layer, set unroll=True."
    return f"LiteRT has no operation for {listed}.{cure}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
