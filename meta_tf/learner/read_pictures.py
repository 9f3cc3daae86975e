"""Reads pictures where a learner or an adapted model was given files, or PIL pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.learner.class_names import distinct
from meta_tf.network.network import Network
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.picture_input import PictureInput


def picture_input(network: Network) -> PictureInput | None:
    """How a model takes pictures, by its input and layers; None if it takes something else."""
    shape = getattr(network.input_spec, "shape", ())
    sizes = tuple(shape[1:])
    if len(sizes) != 3 or None in sizes or sizes[-1] not in (1, 3):
        return None
    return PictureInput(sizes[:2], sizes[2], network.largest_pixel or 1)


def read_inputs(
    network: Network,
    given: PictureInput | None,
    name: str,
    x: Any,
    conversion: Conversion | None = None,
) -> Any:
    """Inputs [B, ...] as arrays: pictures and tables are read; others are returned unchanged.

    Args:
      network: the model.
      given: how the model takes pictures, if this does not follow from the model.
      name: the name of the argument, for errors.
      x: the inputs.
      conversion: counts what pictures lose.
    """
    if isinstance(x, np.ndarray | tf.Tensor) and x.dtype != np.uint8:  # the usual case, quickly
        return x
    if hasattr(x, "to_numpy"):  # a table
        return x.to_numpy()
    pictures = given or picture_input(network)
    return (
        x
        if pictures is None or not pictures.takes(x)
        else pictures.read(x, f"`{name}`", conversion)
    )


def read_support(
    network: Network,
    given: PictureInput | None,
    x: Any,
    y: Any,
    class_names: Sequence[str] | None,
) -> tuple[Any, Any, Sequence[str] | None, PictureInput | None]:
    """A support set as arrays, its class names, and how to read pictures to predict.

    Pictures are read, arrays stay unchanged.

    Args:
      network: the model.
      given: how the model takes pictures, if this does not follow from the model.
      x: inputs [S, ...]; pictures; or, without `y`, a folder of classes or a dict of them.
      y: the targets [S, ...], or None.
      class_names: as passed to `adapt`.

    Raises:
      ValueError: if `y` is missing or superfluous.
    """
    pictures = given or picture_input(network)
    conversion = None if pictures is None else pictures.conversion()
    if y is not None:
        x = read_inputs(network, given, "support_x", x, conversion)
        return x, y, class_names, _after(given, pictures, conversion)
    if pictures is None or not (isinstance(x, Mapping) or pictures.takes(x)):
        raise ValueError(
            "`support_y` must hold the targets [S, ...] of `support_x`. It may only be left out "
            "for a folder with a subfolder of pictures for each class, or for a dict of class "
            f"names to pictures. Received: support_y=None and a {type(x).__name__}."
        )
    if class_names is not None:
        raise ValueError(
            "`class_names` must be None for a folder or a dict of classes, which names them. "
            f"Received: {class_names!r}."
        )
    x, y, names = pictures.read_classes(x, "`support_x`", conversion)
    return x, y, distinct(names), _after(given, pictures, conversion)


def _after(
    given: PictureInput | None, pictures: PictureInput | None, conversion: Conversion | None
) -> PictureInput | None:
    """How to read pictures to predict: as before, if none of the support set had 16 bits."""
    if pictures is None or conversion is None or not conversion.white_of_16_bits:
        return given
    return pictures.after(conversion)
