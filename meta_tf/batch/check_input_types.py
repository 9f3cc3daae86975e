"""The checks of inputs' types and ranges: texts, and pixels in another range than the model's.

uint8 means pixels from 0 to 255, here and in the task sources, which scale them to [0, 1]
unless told not to. A model takes uint8 as it is only if it says so, by the type of its input or
by a layer that is meant for it: others would see numbers 255 times as large as in training.
And a model that scales pixels itself is given none that are scaled already. That needs nothing
stored, and holds for files of any age.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.pixels import are_whole, may_reach_1, may_reach_255
from meta_tf.types import Tensor, Tensors

_LAYERS = keras.layers
# Layers that make something of whole numbers, or may; of pixels, see `meta_tf.pixels`.
_MEANT_FOR_THEM = (
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
    layers = network.model._flatten_layers()
    meant = network.largest_pixel != 1 and any(isinstance(la, _MEANT_FOR_THEM) for la in layers)
    if not (meant or network.largest_pixel == 255):
        raise ValueError(
            f"`{name}` must be floats, as the model {network.model.name!r} takes them. Received: "
            "uint8, pixels from 0 to 255. Scale them as in training (the task sources do so to "
            f"[0, 1] unless scale=False: {name} / 255), or put a keras.layers.Rescaling into the "
            "model."
        )


def wanted_of_ranges(
    network: Network, name: str, value: Tensors, spec: Any, in_steps: bool = True
) -> list[tuple[Tensor, str]]:
    """What must be true of inputs' values, if the model shows it, each with what to say otherwise.

    Only what no data of the right range looks like is refused: pictures of which all values are
    fractions from 0 to 1, for a model that takes pixels up to 255; whole numbers up to there for
    one that takes them up to 1; and fractions where numbers of things are looked up.

    Args:
      network: the model.
      name: of the inputs, such as `support_x`.
      value: the inputs.
      spec: what the algorithm declares the inputs to be; None if nothing.
      in_steps: whether this is for each step of training, in which the second is not looked at.
    """
    asks = network.largest_pixel == 255 or network.takes_numbers_of_things
    asks = asks or (network.largest_pixel == 1 and not in_steps)
    if not asks or spec is None:
        return []
    given, declared = keras.tree.flatten(value), keras.tree.flatten(spec)
    found = []
    for x, shape in zip(given, [t.shape for t in declared], strict=False):
        if isinstance(x, keras.KerasTensor) or not tf.as_dtype(x.dtype).is_floating:
            continue
        x = tf.convert_to_tensor(x)
        if network.largest_pixel == 1 and len(shape) == 4:
            message = (
                f"`{name}` must hold pixels from 0 to 1, as the model takes them. Received: whole "
                "numbers up to 255. Divide them by 255, as the task sources do."
            )
            found.append((may_reach_1(x), message))
        elif network.largest_pixel == 255 and len(shape) == 4:
            message = (
                f"`{name}` must hold pixels from 0 to 255, as the model scales them itself. "
                "Received: values from 0 to 1, which are scaled already. Make the task source "
                "with scale=False, or multiply them by 255."
            )
            found.append((may_reach_255(x), message))
        elif network.takes_numbers_of_things and len(declared) == 1:
            message = (
                f"`{name}` must hold whole numbers, which the model's first layer looks up. "
                "Received: fractions. Task sources scale uint8 to fractions unless scale=False."
            )
            found.append((are_whole(x), message))
    return found
