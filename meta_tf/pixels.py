"""What a model expects of its inputs' values, where its own layers show it.

uint8 means pixels from 0 to 255 everywhere in this library. Task sources scale them to [0, 1];
a model that scales them itself needs them as they are.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LAYERS = keras.layers
_PIXELS_ABOVE = 1 / 64  # a smaller factor brings numbers as large as pixels to about 1
_OF_NUMBERS = (_LAYERS.Embedding, _LAYERS.CategoryEncoding)


def scales_pixels(model: keras.Model) -> bool:
    """Whether a layer of the model scales pixels from 0 to 255.

    That is a `Rescaling` by 1/64 or less, as 1/255 and 1/127.5 are, or a `Normalization` by a mean
    that only such pixels have, as ConvNeXt's is. Most networks of `keras.applications` have
    one; others come with a function `preprocess_input`.

    Example:
      >>> rescaling = keras.layers.Rescaling(1 / 255)
      >>> scales_pixels(keras.Sequential([keras.Input([28, 28, 1]), rescaling]))
      True
    """
    return any(_scales(layer) for layer in model._flatten_layers())


def takes_numbers_of_things(model: keras.Model) -> bool:
    """Whether a model's first layer takes whole numbers, such as those of words."""
    layers = model._flatten_layers(include_self=False)
    leaves = (layer for layer in layers if not layer._layers)
    first = next((layer for layer in leaves if not isinstance(layer, _LAYERS.InputLayer)), None)
    return isinstance(first, _OF_NUMBERS)


def are_pixels(x: tf.Tensor) -> tf.Tensor:
    """Whether values may be pixels from 0 to 255: not if they are fractions from 0 to 1."""
    return tf.reduce_any(x > 1) | tf.reduce_any(x < 0) | are_whole(x)


def are_whole(x: tf.Tensor) -> tf.Tensor:
    """Whether all values are whole numbers."""
    return tf.reduce_all(x == tf.floor(x))


def _scales(layer: Any) -> bool:
    with tf.init_scope():  # the values, also while a graph is made
        if isinstance(layer, _LAYERS.Rescaling):
            return bool(np.all(np.abs(np.asarray(layer.scale)) <= _PIXELS_ABOVE))
        if isinstance(layer, _LAYERS.Normalization) and getattr(layer, "mean", None) is not None:
            mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
            return bool(np.all((mean > 32) & (mean < 224) & (variance < 128**2)))
    return False
