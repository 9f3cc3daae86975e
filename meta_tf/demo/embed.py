"""A network alone as an ONNX file, with weights in half precision where that loses nothing."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.export.compare import TOLERANCE
from meta_tf.export.formats import check_installed
from meta_tf.export.onnx import PACKAGES, Runner, convert
from meta_tf.export.refused import Refused
from meta_tf.pixels import largest_pixel

_SMALL = 64  # numbers; halving fewer saves less than a node takes


def embed_file(model: keras.Model) -> bytes:
    """The content of an ONNX file that computes a model: `pixels` to `embeddings`.

    The weights enter the conversion as inputs, so that no factor of a normalisation is multiplied
    into them. Those that half precision represents exactly, such as weights that ship in half
    precision, are stored in it; a runtime converts and multiplies them when it loads the file.

    Args:
      model: pictures [B, height, width, channels] to one vector each, without use of the batch.

    Raises:
      ImportError: if the extra `onnx` is not installed.
      Refused: if ONNX cannot express the model, or computes something else.
    """
    check_installed("onnx", PACKAGES)
    values = {f"weight{i}": v for i, v in enumerate(_weights(model))}
    content = _with_weights(
        convert("embed", _function(model, values)), {n: v.numpy() for n, v in values.items()}
    )
    _compare(content, model)
    return content


def _weights(model: keras.Model) -> list[keras.Variable]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _function(model: keras.Model, weights: dict[str, keras.Variable]) -> Any:
    """The model as a function of pixels and of its weights."""
    trained = len(model.trainable_variables)

    def embed(*, pixels: tf.Tensor, **values: tf.Tensor) -> dict[str, tf.Tensor]:
        given = [values[name] for name in weights]
        out, _ = model.stateless_call(given[:trained], given[trained:], pixels, training=False)
        return {"embeddings": out}

    specs = {name: tf.TensorSpec(v.shape, v.dtype, name) for name, v in weights.items()}
    pixels = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, "pixels")
    return tf.function(embed, autograph=False).get_concrete_function(pixels=pixels, **specs)


def _with_weights(content: bytes, values: dict[str, np.ndarray]) -> bytes:
    """The same file with values in place of the inputs of these names."""
    import onnx

    model = onnx.load_from_string(content)
    graph = model.graph
    others = [each for each in graph.input if each.name not in values]
    used = [each.name for each in graph.input if each.name in values]
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
    return model.SerializeToString()


def _in_half(value: np.ndarray) -> np.ndarray | None:
    """The same numbers in half precision, if it represents them exactly and that saves space."""
    if value.dtype != np.float32 or value.size < _SMALL:
        return None
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), value) else None


def _compare(content: bytes, model: keras.Model) -> None:
    """Raises Refused unless onnxruntime computes the same as TensorFlow."""
    white = largest_pixel(model) or 1
    shape = [2, *model.input_shape[1:]]
    pixels = np.random.default_rng(0).uniform(0, white, shape).astype("float32")
    found = Runner({"embed": content}).run("embed", {"pixels": pixels})["embeddings"]
    expected = model(pixels, training=False).numpy()
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise Refused(
            f"onnxruntime embeds pictures differently from TensorFlow, by {difference:.2g} of the "
            f"largest number; the limit is {TOLERANCE:g}."
        )
