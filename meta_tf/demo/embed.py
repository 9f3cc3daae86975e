"""A network alone as an ONNX file, with weights in half precision where that loses nothing."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from meta_tf.export.compare import TOLERANCE
from meta_tf.export.formats import check_installed
from meta_tf.export.lowering import lower
from meta_tf.export.onnx import PACKAGES, Runner, convert
from meta_tf.export.refused import Refused
from meta_tf.pixels import largest_pixel


def embed_file(model: keras.Model) -> bytes:
    """The content of an ONNX file that computes a model: `pixels` to `embeddings`.

    The model maps pictures [B, height, width, channels] to one vector each, without use of the
    batch. Raises Refused if ONNX cannot express it, or computes something else.
    """
    check_installed("onnx", PACKAGES)
    pixels = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, "pixels")
    embed = tf.function(
        lambda pixels: {"embeddings": model(pixels, training=False)}, autograph=False
    ).get_concrete_function(pixels=pixels)
    content = convert("embed", lower(embed))
    shape = [2, *model.input_shape[1:]]
    trial = np.random.default_rng(0).uniform(0, largest_pixel(model) or 1, shape).astype("float32")
    found = Runner({"embed": content}).run("embed", {"pixels": trial})["embeddings"]
    expected = model(trial, training=False).numpy()
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise Refused(
            f"onnxruntime embeds pictures differently from TensorFlow, by {difference:.2g} of the "
            f"largest number; the limit is {TOLERANCE:g}."
        )
    return content
