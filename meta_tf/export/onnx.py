"""ONNX: a file for each signature, for onnxruntime and other runtimes.

Files of large networks do not hold their weights: `weights.onnx_data`, beside them, holds those
of all signatures once.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering import Lowered, inputs_of
from meta_tf.export.plan import Plan
from meta_tf.export.random_tasks import Arrays
from meta_tf.export.refused import Refused
from meta_tf.files import check_replaceable, whole_folder

PACKAGES = ("onnxruntime", "tf2onnx")  # to run the files and to write them
WEIGHTS = "weights.onnx_data"
_LARGE = 2 * 2**20  # the bytes of a file from where on weights are shared
_SHARED = 1024  # the bytes of the smallest tensor to share
_ALIGNED = 64  # onnxruntime maps tensors at such places into memory
_OPSET = 17  # from 18 on, tf2onnx 1.17 takes means of one-pixel images over wrong axes


def check_path(path: Path) -> None:
    """Raises ValueError unless `path` is valid for a folder of ONNX files."""
    check_replaceable(
        "filepath",
        path,
        "export",
        lambda old: all(f.suffix == ".onnx" or f.name == WEIGHTS for f in old.iterdir()),
    )


def write(plan: Plan, path: Path) -> float:
    """Writes a file for each function, such as `adapt.onnx`, after a test run.

    If they are large, their weights are in `WEIGHTS`, once.

    Args:
      plan: the functions to write.
      path: the folder.

    Returns:
      The largest relative difference from TensorFlow in the test run.

    Raises:
      Refused: if ONNX cannot express the learner, or computes something else.
    """
    models = {name: convert(name, f) for name, f in plan.lowered().items()}
    runner = Runner(models)
    difference = plan.compare(runner.run)
    with whole_folder(path) as part:
        part.mkdir()
        if max(map(len, models.values())) >= _LARGE:
            models = _share_weights(models, part / WEIGHTS)
        for name, model in models.items():
            (part / f"{name}.onnx").write_bytes(model)
    return difference


def _share_weights(models: dict[str, bytes], path: Path) -> dict[str, bytes]:
    """Moves the large tensors of models to a file at `path`, equal ones to the same place."""
    import onnx
    from onnx.external_data_helper import set_external_data

    places: dict[bytes, int] = {}
    shared: dict[str, bytes] = {}
    with path.open("wb") as file:
        for name, content in models.items():
            model = onnx.ModelProto.FromString(content)
            for tensor in model.graph.initializer:
                values = onnx.numpy_helper.to_array(tensor).tobytes()
                if len(values) < _SHARED:
                    continue
                digest = hashlib.sha256(values).digest()
                if digest not in places:
                    file.write(b"\0" * (-file.tell() % _ALIGNED))
                    places[digest] = file.tell()
                    file.write(values)
                tensor.raw_data = values  # the helper accepts no other form
                set_external_data(tensor, path.name, places[digest], len(values))
                tensor.ClearField("raw_data")
            shared[name] = model.SerializeToString()
    return shared


class Runner:
    """Runs ONNX models in memory."""

    def __init__(self, models: dict[str, bytes]):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised
        options.enable_cpu_mem_arena = False  # it would keep the memory of the largest task
        self._sessions = {}
        for name, model in models.items():
            try:
                self._sessions[name] = onnxruntime.InferenceSession(
                    model, options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # onnxruntime raises many kinds of errors
                raise Refused(f"onnxruntime cannot load it: {_one_line(error)}") from error

    def run(self, name: str, inputs: Arrays) -> Arrays:
        """The outputs of a signature, by name."""
        session = self._sessions[name]
        names = [output.name for output in session.get_outputs()]
        try:
            values = session.run(names, {n: np.asarray(a) for n, a in inputs.items()})
        except Exception as error:
            raise Refused(f"onnxruntime cannot run it: {_one_line(error)}") from error
        return dict(zip(names, values, strict=True))


def convert(name: str, lowered: Lowered) -> bytes:
    """Converts a function to an ONNX model.

    The weights enter the conversion as inputs. That is fast, and no factor of a normalisation is
    multiplied into them: those that half precision represents exactly, such as weights that ship
    in half precision, are stored in it.

    Raises:
      Refused: if the converter fails, or writes an operation that ONNX does not have.
    """
    import onnx
    import tf2onnx

    specs = list(inputs_of(lowered.function).values())

    def positional(*tensors: Any) -> Any:
        return lowered.function(**{s.name: t for s, t in zip(specs, tensors, strict=True)})

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # errors are handled below
    try:
        model, _ = tf2onnx.convert.from_function(
            tf.function(positional, input_signature=specs, autograph=False),
            input_signature=specs,
            opset=_OPSET,
        )
    except Exception as error:  # tf2onnx raises many kinds of errors
        raise Refused(f"the ONNX converter reports for {name}: {_one_line(error)}") from error
    unknown = [
        f"{node.op_type} of {node.name!r}"
        for node in model.graph.node
        if not node.domain and not onnx.defs.has(node.op_type, "")
    ]
    if unknown:
        raise Refused(f"ONNX has no operation for {', '.join(unknown)}.")
    _hold(model.graph, {name: v.numpy() for name, v in lowered.weights.items()})
    return model.SerializeToString()


def _hold(graph: Any, values: dict[str, np.ndarray]) -> None:
    """Puts values in place of the inputs of these names."""
    import onnx

    used = [each.name for each in graph.input if each.name in values]
    others = [each for each in graph.input if each.name not in values]
    nodes = list(graph.node)
    del graph.input[:], graph.node[:]
    graph.input.extend(others)
    for name in used:
        value, half = values[name], _in_half(values[name])
        if half is None:
            graph.initializer.append(onnx.numpy_helper.from_array(value, name))
            continue
        graph.initializer.append(onnx.numpy_helper.from_array(half, f"{name}_half"))
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        graph.node.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=kind))
    graph.node.extend(nodes)


def _in_half(value: np.ndarray) -> np.ndarray | None:
    """The same numbers in half precision, if it represents them exactly."""
    if value.dtype != np.float32:
        return None
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), value) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
