"""The range of picture values in training, with which adaptation detects unscaled pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.pixels import are_whole
from meta_tf.types import Tensors

_KEY = "largest_input"
_FAR = 8  # times the largest value in training: too large for a picture of the same range
_MOST = 255
_CHANNELS = 4  # the most channels of a picture


class InputRange:
    """The largest absolute value of a learner's first batch of pictures.

    It is stored only for fractions, because whole numbers can have other meanings, such as counts
    on a board. Whole numbers up to 255 in later inputs are then unscaled pixels. Models without
    pictures, and models whose layers show their range, cost nothing; others cost the comparison of
    one number per training step.

    Args:
      network: the model.
    """

    def __init__(self, network: Network):
        spec = network.input_spec
        shape: Any = getattr(spec, "shape", ())
        picture = len(shape) == 4 and shape[-1] in range(1, _CHANNELS + 1)
        self._watches = picture and network.largest_pixel is None
        # 0 until a batch was seen, infinite if the range is unknown.
        self._largest = tf.Variable(
            0.0,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def note(self, x: Tensors) -> None:
        """Stores the largest value of the first batch in training."""
        if not self._watches or not x.dtype.is_floating:
            return

        def look() -> Any:
            largest = tf.cast(tf.reduce_max(tf.abs(x)), tf.float32)
            self._largest.assign(tf.where(are_whole(x), np.inf, largest))
            return True

        tf.cond(self._largest == 0, look, lambda: True)

    def check(self, name: str, x: Tensors) -> None:
        """Raises ValueError if `x`, a tensor, contains pixels far above those in training."""
        if not self._watches or not x.dtype.is_floating:
            return
        largest = self._known()
        if largest == 0 or not _FAR * largest < float(tf.reduce_max(x)) <= _MOST:
            return
        if bool(are_whole(x)) and float(tf.reduce_min(x)) >= 0:
            raise ValueError(
                f"`{name}` must have the same range as in training, where no value exceeded "
                f"{largest:.3g}. Received: pixels up to {float(tf.reduce_max(x)):.0f}. Scale them "
                f"as in training; task sources divide by 255."
            )

    def _known(self) -> float:
        return float(self._largest.read_value())

    def save(self, store: Any) -> None:
        """Writes the range to the store of a Keras file."""
        store[_KEY] = np.float32(self._known())

    def load(self, store: dict[str, Any]) -> dict[str, Any]:
        """Reads the range, which older files lack, and returns the rest of the store."""
        if _KEY in store:
            self._largest.assign(float(np.asarray(store[_KEY])))
        return {key: value for key, value in store.items() if key != _KEY}
