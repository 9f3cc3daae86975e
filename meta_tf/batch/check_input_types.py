"""The check of inputs' types: texts, and pixels from 0 to 255, where a model takes floats.

A learner does not remember the numbers that it was trained on. It need not: everywhere in
this library uint8 means pixels, and the task sources scale them to [0, 1]. Pixels as they are
would be 255 times as large, which no error tells. So a model takes uint8 only if it says so,
by the type of its input or by a layer that is meant for it; that needs nothing stored, holds
for files of any age, and a cast to float32 says that unscaled numbers are meant.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.types import Tensors

_LAYERS = keras.layers
# Layers that make something of whole numbers, or may.
_MEANT_FOR_THEM = (
    _LAYERS.Rescaling,
    _LAYERS.Normalization,
    _LAYERS.Embedding,
    _LAYERS.CategoryEncoding,
    _LAYERS.Discretization,
    _LAYERS.Lambda,
)


def check_input_types(network: Network, name: str, value: Tensors, spec: Any) -> None:
    """Raises ValueError if a model is given texts or uint8 and does not say that it takes them.

    Args:
      network: the model.
      name: of the inputs, such as `support_x`.
      value: the inputs.
      spec: what the algorithm declares the inputs to be.
    """
    types = {tf.as_dtype(t.dtype) for t in keras.tree.flatten(value) if hasattr(t, "dtype")}
    if not types & {tf.string, tf.uint8}:
        return
    if not all(t.dtype.startswith("float") for t in keras.tree.flatten(spec)):
        return
    if tf.string in types:
        raise ValueError(
            f"`{name}` must be numbers, as the model {network.model.name!r} takes them. Received: "
            "texts. Turn them into numbers first."
        )
    meant = any(isinstance(layer, _MEANT_FOR_THEM) for layer in network.model._flatten_layers())
    if not meant:
        raise ValueError(
            f"`{name}` must be floats, as the model {network.model.name!r} takes them. Received: "
            "uint8, pixels from 0 to 255. Scale them as in training (the task sources do so to "
            f"[0, 1]: {name} / 255), or put a keras.layers.Rescaling into the model."
        )
