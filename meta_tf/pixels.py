"""The range of pixels that a model expects, if its layers show it.

uint8 always means pixels from 0 to 255 in this library. Task sources scale them to [0, 1]; a
model that scales pixels itself needs them unscaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

STANDARDIZE = "standardize"
"""The name of the layer of `MetaLearner.standardize`, which takes any unit, not only pixels."""

_LAYERS = keras.layers
_OF_NUMBERS = (_LAYERS.Embedding, _LAYERS.CategoryEncoding)
_PIXEL_SCALE = 1 / 64  # only numbers as large as 255 are scaled by this or less
_PIXEL_MEANS = (32, 224)
_FAR = 32  # above every value of a range up to 1, even after augmentation


def largest_pixel(model: keras.Model) -> int | None:
    """The value of white for a model: 255, 1, or None if its layers do not show it.

    The first `Rescaling` or `Normalization` shows it. Pixels up to 255 are scaled by 1/255, 1/127.5
    or similar, or by a mean that only such pixels have, as in ConvNeXt; pixels up to 1 are scaled
    up or left unchanged. Most networks of `keras.applications` take 255; others have a function
    `preprocess_input`.

    Example:
      >>> rescaling = keras.layers.Rescaling(1 / 255)
      >>> largest_pixel(keras.Sequential([keras.Input([28, 28, 1]), rescaling]))
      255
    """
    scaling = (_LAYERS.Rescaling, _LAYERS.Normalization)
    layers = (layer for layer in in_order(model) if isinstance(layer, scaling))
    first = next((layer for layer in layers if layer.name != STANDARDIZE), None)
    if first is None:
        return None
    with tf.init_scope():  # reads the values even while a graph is traced
        if isinstance(first, _LAYERS.Rescaling):
            scale = np.abs(np.asarray(first.scale))
            return 255 if np.all(scale <= _PIXEL_SCALE) else 1 if np.all(scale >= 1) else None
        if getattr(first, "mean", None) is None:  # not adapted yet
            return None
        mean, deviation = np.asarray(first.mean), np.sqrt(np.asarray(first.variance))
    least, most = _PIXEL_MEANS
    if np.all((mean > least) & (mean < most) & (deviation < 128)):
        return 255
    return 1 if np.all((np.abs(mean) <= 1) & (deviation <= 1)) else None


def takes_numbers_of_things(model: keras.Model) -> bool:
    """Whether a model's first layer takes whole numbers, such as word indices."""
    others = (la for la in in_order(model) if not isinstance(la, _LAYERS.InputLayer))
    return isinstance(next(others, None), _OF_NUMBERS)


def may_reach_255(x: tf.Tensor) -> tf.Tensor:
    """Whether values can be pixels from 0 to 255: fractions from 0 to 1 cannot."""
    others = lambda: (tf.reduce_min(x) < 0) | are_whole(x)  # noqa: E731
    return tf.cond(tf.reduce_max(x) > 1, lambda: True, others)


def may_reach_1(x: tf.Tensor) -> tf.Tensor:
    """Whether values can be pixels from 0 to 1: whole numbers up to about 255 cannot."""
    most = tf.reduce_max(x)
    others = lambda: (tf.reduce_min(x) < 0) | tf.logical_not(are_whole(x))  # noqa: E731
    return tf.cond((most <= _FAR) | (most > 255), lambda: True, others)


def are_whole(x: tf.Tensor) -> tf.Tensor:
    """Whether all values are whole numbers."""
    return tf.reduce_all(x == tf.floor(x))


def in_order(layer: Any) -> Iterator[Any]:
    """A layer, or the layers that it consists of, in order."""
    inner = layer.layers if isinstance(layer, keras.Model) else layer._layers
    for one in inner:
        yield from in_order(one)
    if not inner:
        yield layer
