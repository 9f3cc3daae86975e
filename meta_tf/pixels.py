"""What a model expects of its inputs' values, where its own layers show it.

uint8 means pixels from 0 to 255 everywhere in this library. Task sources scale them to [0, 1];
a model that scales them itself needs them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_LAYERS = keras.layers
_OF_NUMBERS = (_LAYERS.Embedding, _LAYERS.CategoryEncoding)
_PIXEL_SCALE = 1 / 64  # by so little, or less, only numbers as large as 255 are brought to about 1
_PIXEL_MEANS = (32, 224)
_FAR = 32  # no value of a range up to 1, however it was augmented


def largest_pixel(model: keras.Model) -> int | None:
    """What white is to a model: 255, 1, or None if its layers do not show it.

    Its first `Rescaling` or `Normalization` shows it. 255 is scaled by 1/255, 1/127.5 or the like,
    or by a mean that only such pixels have, as ConvNeXt does; 1 is scaled up or left as it is. Most
    networks of `keras.applications` take 255; others have a function `preprocess_input`.

    Example:
      >>> rescaling = keras.layers.Rescaling(1 / 255)
      >>> largest_pixel(keras.Sequential([keras.Input([28, 28, 1]), rescaling]))
      255
    """
    scaling = (_LAYERS.Rescaling, _LAYERS.Normalization)
    layers = (layer for layer in _in_order(model) if isinstance(layer, scaling))
    # That of `MetaLearner.standardize` says what its data were, whatever their unit.
    first = next((layer for layer in layers if layer.name != "standardize"), None)
    if first is None:
        return None
    with tf.init_scope():  # the values, also while a graph is made
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
    """Whether a model's first layer takes whole numbers, such as those of words."""
    others = (la for la in _in_order(model) if not isinstance(la, _LAYERS.InputLayer))
    return isinstance(next(others, None), _OF_NUMBERS)


def may_reach_255(x: tf.Tensor) -> tf.Tensor:
    """Whether values may be pixels from 0 to 255: not if they are fractions from 0 to 1."""
    others = lambda: (tf.reduce_min(x) < 0) | are_whole(x)  # noqa: E731
    return tf.cond(tf.reduce_max(x) > 1, lambda: True, others)


def may_reach_1(x: tf.Tensor) -> tf.Tensor:
    """Whether values may be pixels from 0 to 1: not if they are whole numbers, up to 255 or so."""
    most = tf.reduce_max(x)
    others = lambda: (tf.reduce_min(x) < 0) | tf.logical_not(are_whole(x))  # noqa: E731
    return tf.cond((most <= _FAR) | (most > 255), lambda: True, others)


def are_whole(x: tf.Tensor) -> tf.Tensor:
    """Whether all values are whole numbers."""
    return tf.reduce_all(x == tf.floor(x))


def _in_order(layer: Any) -> Iterator[Any]:
    """A layer, or those that it consists of, the first ones first."""
    inner = layer.layers if isinstance(layer, keras.Model) else layer._layers
    for one in inner:
        yield from _in_order(one)
    if not inner:
        yield layer
