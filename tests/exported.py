"""Runs exported files, as a program without TensorFlow does."""

import importlib.util

import pytest

from meta_tf.export import onnx

needs_litert = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None, reason="needs the extra [litert]"
)
needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(package) for package in onnx.PACKAGES),
    reason="needs the extra [onnx]",
)


def litert_signatures(path):
    """The functions of a LiteRT file, by name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    return {n: interpreter.get_signature_runner(n) for n in interpreter.get_signature_list()}


def run_onnx(path, inputs):
    """The outputs of an ONNX file, by name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
