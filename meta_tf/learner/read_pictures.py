"""Reads pictures where a learner or an adapted model was given files, or PIL pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

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
