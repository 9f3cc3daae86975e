"""Networks of `keras.applications` as the network of the learner of photographs."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import keras
import numpy as np

from meta_tf.checks import check_choice

SIZE = 224


def backbone(name: str) -> keras.Model:
    """Builds a network of `keras.applications` that turns photographs into features.

    Keras fetches its weights, trained on ImageNet, and keeps them in `~/.keras/models`. The range
    of pixels that the network was trained on is part of the frozen model, which maps pictures
    [B, 224, 224, 3] of values from 0 to 1 to features [B, D]. Raises ValueError if there is no such
    network, or Keras cannot fetch its weights.
    """
    check_choice("backbone", name, backbones())
    build = getattr(keras.applications, name)
    try:
        network = build(include_top=False, pooling="avg", input_shape=(SIZE, SIZE, 3))
    except Exception as error:  # Keras raises a plain one
        if "URL fetch failure" not in str(error):
            raise
        raise ValueError(
            f"`backbone` must be a network whose weights Keras has or can fetch. Received: "
            f"{name!r}; {error}. Connect to the internet once; Keras keeps them in "
            "~/.keras/models."
        ) from error
    pictures = keras.Input((SIZE, SIZE, 3), name="picture")
    pixels = keras.layers.Rescaling(255.0, name="pixels")(pictures)
    model = keras.Model(pictures, network(_prepared(pixels, build)), name=name.lower())
    model.trainable = False
    return model


def backbones() -> tuple[str, ...]:
    """The names of the networks in `keras.applications`."""
    return tuple(sorted(name for name, v in vars(keras.applications).items() if callable(v)))


def _prepared(pixels: keras.KerasTensor, build: Any) -> keras.KerasTensor:
    """What `preprocess_input` in the network's module makes of pixels, as a layer.

    It maps each pixel's colours c to c A + b: it scales, shifts, or exchanges them.
    """
    prepare = sys.modules[inspect.unwrap(build).__module__].preprocess_input
    probes = np.concatenate([np.zeros([1, 3]), np.eye(3)]).astype("float32")[:, None, None]
    shift, *rows = np.asarray(prepare(probes.copy(), data_format="channels_last"))[:, 0, 0]
    matrix = np.stack(rows) - shift
    if np.array_equal(matrix, np.eye(3)) and not shift.any():
        return pixels
    layer = keras.layers.Conv2D(3, 1, data_format="channels_last", name="prepared")
    prepared = layer(pixels)
    layer.set_weights([matrix[None, None], shift])
    return prepared
