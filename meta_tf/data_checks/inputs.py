"""Checks the types and ranges of inputs: text, and pixels in a range that the model does not take.

uint8 means pixels from 0 to 255, here and in the task sources, which scale them to [0, 1] unless
`scale=False`. A model takes uint8 only if the type of its input or one of its layers shows it;
other models would get numbers 255 times as large as in training. A model that scales pixels itself
must get unscaled pixels. The checks need no stored data, and so also work for older files.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.pixels import are_whole, may_reach_1, may_reach_255
from meta_tf.types import Tensor, Tensors

_LAYERS = keras.layers
# Layers that take or may take whole numbers; for pixels, see `meta_tf.pixels`.
_MEANT_FOR_THEM = (
    _LAYERS.Normalization,
    _LAYERS.Embedding,
    _LAYERS.CategoryEncoding,
    _LAYERS.Discretization,
    _LAYERS.Lambda,
)
_COMPLEX = {tf.complex64, tf.complex128}


def check_input_types(network: Network, name: str, value: Tensors, spec: Any) -> None:
    """Raises ValueError for text, complex numbers and uint8 that a model does not seem to take.

    `spec`: the inputs that the algorithm declares.
    """
    types = {tf.as_dtype(t.dtype) for t in keras.tree.flatten(value) if hasattr(t, "dtype")}
    if not types & {tf.string, tf.uint8, *_COMPLEX}:
        return
    if not all(t.dtype.startswith("float") for t in keras.tree.flatten(spec)):
        return
    if types & _COMPLEX:
        raise ValueError(
            f"`{name}` must be real numbers, as the model {network.model.name!r} takes them. "
            "Received: complex numbers. Give their real and imaginary parts, or their absolute "
            "values and angles."
        )
    if tf.string in types:
        raise ValueError(
            f"`{name}` must be numbers, as the model {network.model.name!r} takes them. Received: "
            "text. Convert it to numbers first."
        )
    layers = network.model._flatten_layers()
    meant = network.largest_pixel != 1 and any(isinstance(la, _MEANT_FOR_THEM) for la in layers)
    if not (meant or network.largest_pixel == 255):
        raise ValueError(
            f"`{name}` must be floats, as the model {network.model.name!r} takes them. Received: "
            "uint8, pixels from 0 to 255. Scale them as in training (task sources scale to "
            f"[0, 1] unless scale=False: {name} / 255), or put a keras.layers.Rescaling into the "
            "model."
        )


def wanted_of_ranges(
    network: Network, name: str, value: Tensors, spec: Any, in_steps: bool = True
) -> list[tuple[Tensor, str]]:
    """Conditions on the values of inputs, if the model shows any, each with its error message.

    Each condition rejects only values that valid data cannot have: pictures whose values are all
    fractions from 0 to 1, for a model that takes pixels up to 255; whole numbers up to 255, for a
    model that takes pixels up to 1; and fractions, for a model that looks up its inputs. The
    second one is skipped `in_steps` of training. `spec`: the inputs that the algorithm declares.
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
