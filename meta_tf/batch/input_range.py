"""How large the values of pictures were in training, so that adaptation can tell pixels apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.pixels import are_whole
from meta_tf.types import Tensors

_KEY = "largest_input"
_FAR = 8  # times the largest value of training: no picture of the same range
_MOST = 255
_CHANNELS = 4  # at most, of a picture


class InputRange:
    """The largest absolute value of a learner's first batch of pictures.

    It is kept of fractions alone: whole numbers may be anything, counts on a board, say. So
    whole numbers up to 255 that come later are pixels that were not scaled. A model without
    pictures, or one whose layers show what it takes, costs nothing; others the comparison of a
    number in each training step.

    Args:
      network: the model.
    """

    def __init__(self, network: Network):
        spec = network.input_spec
        shape: Any = getattr(spec, "shape", ())
        picture = len(shape) == 4 and shape[-1] in range(1, _CHANNELS + 1)
        self._watches = picture and network.largest_pixel is None
        # 0 as long as nothing is known, infinite if nothing can be told.
        self._largest = tf.Variable(
            0.0,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def note(self, x: Tensors) -> None:
        """Keeps the largest value of the first batch that training meets."""
        if not self._watches or not x.dtype.is_floating:
            return

        def look() -> Any:
            largest = tf.cast(tf.reduce_max(tf.abs(x)), tf.float32)
            self._largest.assign(tf.where(are_whole(x), np.inf, largest))
            return True

        tf.cond(self._largest == 0, look, lambda: True)

    def check(self, name: str, x: Tensors) -> None:
        """Raises ValueError if `x`, a tensor, holds pixels far beyond those of training."""
        if not self._watches or not x.dtype.is_floating:
            return
        largest = self._known()
        if largest == 0 or not _FAR * largest < float(tf.reduce_max(x)) <= _MOST:
            return
        if bool(are_whole(x)) and float(tf.reduce_min(x)) >= 0:
            raise ValueError(
                f"`{name}` must have the range of the training, in which no value exceeded "
                f"{largest:.3g}. Received: pixels up to {float(tf.reduce_max(x)):.0f}. Scale them "
                f"as in training; task sources divide by 255."
            )

    def _known(self) -> float:
        return float(self._largest.read_value())

    def save(self, store: Any) -> None:
        """Writes the range into the store of a Keras file."""
        store[_KEY] = np.float32(self._known())

    def load(self, store: dict[str, Any]) -> dict[str, Any]:
        """Reads the range, which earlier files lack, and returns what else is there."""
        if _KEY in store:
            self._largest.assign(float(np.asarray(store[_KEY])))
        return {key: value for key, value in store.items() if key != _KEY}
