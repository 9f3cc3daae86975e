"""The page of photographs: the learner's network as a file, and its head in `manifest.json`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.algorithms import R2D2
from meta_tf.demo.shown import Shown
from meta_tf.export.compare import TOLERANCE
from meta_tf.export.formats import check_installed
from meta_tf.export.lowering import lower
from meta_tf.export.onnx import PACKAGES, Runner, convert
from meta_tf.export.refused import Refused
from meta_tf.pixels import largest_pixel


def are_photographs(shown: Shown) -> bool:
    """Whether a learner takes pictures in colour."""
    return shown.pictures is not None and shown.pictures[2] == 3


def check(shown: Sequence[Shown]) -> None:
    """Raises ValueError unless there is one learner, whose head the page can compute.

    The page embeds each picture once and computes the ridge regression of `R2D2` itself. So the
    embedding of a picture must not depend on the other pictures of its batch.
    """
    if len(shown) > 1:
        raise ValueError(
            "`learner` must be one learner of photographs, or learners of drawings, which have "
            f"another page. Received: {', '.join(each.name for each in shown)}."
        )
    (each,) = shown
    sizes, learner = each.pictures, each.learner
    if sizes is None or None in sizes or sizes[0] != sizes[1]:
        raise ValueError(f"`learner` must take square photographs. Received: {each.takes}.")
    if not isinstance(learner.algorithm, R2D2) or learner.network.batch_norm != "running":
        raise ValueError(
            "`learner` must learn by `R2D2` with batch norm 'running', such as `photos` does, or "
            f"take drawings, [size, size, 1]. Received: {each.name}, which learns by "
            f"{type(learner.algorithm).__name__} with batch norm {learner.network.batch_norm!r}."
        )


def write(shown: Sequence[Shown], folder: Path) -> dict[str, Any]:
    """Writes the network, compared with TensorFlow; returns the content of `manifest.json`.

    `learner`: its name. `embed`: the network's file, pixels [n, size, size, 3] from 0 to `white` to
    embeddings. `network`: its `fingerprint`. `size` and `features`: of the pictures and of the
    embeddings. `crop`: whether the network takes the middle square of a picture, not all of it
    stretched. `ways`: the most classes. `lambda`, `scale`, `bias`: of the regression.
    `calibration`: what the page needs of the learner's, or None.
    """
    (each,) = shown
    learner = each.learner
    (folder / "embed.onnx").write_bytes(embed_file(learner.model))
    meta = learner.weights_now.meta
    crop = bool(learner.pictures and learner.pictures.crop)
    return {
        "learner": each.name,
        "embed": "embed.onnx",
        "network": fingerprint(learner.model, crop),
        "size": learner.model.input_shape[1],
        "features": learner.model.output_shape[-1],
        "white": largest_pixel(learner.model) or 1,
        "crop": crop,
        "ways": learner.algorithm.prediction_size(learner.network),
        "lambda": math.exp(float(meta["log_lambda"])),
        "scale": float(meta["scale"]),
        "bias": float(meta["bias"]),
        "calibration": each.calibration,
    }


def fingerprint(model: keras.Model, crop: bool = True) -> str:
    """A checksum by which the page knows whether a network's embeddings can be compared.

    The same for each page with the network; the converted file may differ.
    """
    layers = [type(layer).__name__ for layer in model.layers]
    found = hashlib.sha256(repr((model.input_shape, model.output_shape, layers)).encode())
    found.update(b"" if crop else b"stretched")
    for weight in model.get_weights():
        found.update(weight.tobytes())
    return found.hexdigest()[:16]


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
