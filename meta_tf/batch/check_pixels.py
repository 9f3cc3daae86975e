"""The check of pixels from 0 to 255, where a model takes numbers of another size.

A learner does not remember the numbers that it was trained on. It need not: everywhere in
this library uint8 means pixels, and the task sources scale them to [0, 1]. Pixels as they are
would be 255 times as large, which no error tells. So a model takes uint8 only if it says so,
by the type of its input or by a layer that is meant for it; that needs nothing stored, holds
for files of any age, and a cast to float32 says that unscaled numbers are meant.
"""

from __future__ import annotations

from typing import Any

import keras

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


def check_pixels(network: Network, name: str, value: Tensors, spec: Any) -> None:
    """Raises ValueError if a model is given uint8 that it does not say it takes.

    Args:
      network: the model.
      name: of the inputs, such as `support_x`.
      value: the inputs.
      spec: what the algorithm declares the inputs to be.
    """
    if not any(_is_uint8(t) for t in keras.tree.flatten(value)):
        return
    declared_floats = all(t.dtype.startswith("float") for t in keras.tree.flatten(spec))
    meant = any(isinstance(layer, _MEANT_FOR_THEM) for layer in network.model._flatten_layers())
    if declared_floats and not meant:
        raise ValueError(
            f"`{name}` must be floats, as the model {network.model.name!r} takes them. Received: "
            "uint8, pixels from 0 to 255. Scale them as in training (the task sources do so to "
            f"[0, 1]: {name} / 255), or put a keras.layers.Rescaling into the model."
        )


def _is_uint8(value: Any) -> bool:
    return hasattr(value, "dtype") and keras.backend.standardize_dtype(value.dtype) == "uint8"
