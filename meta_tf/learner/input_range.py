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
_FLOATS = (tf.float16, tf.float32, tf.float64, tf.bfloat16)


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

    @property
    def largest(self) -> float:
        """The largest absolute value; 0 if that means nothing for later inputs."""
        largest = float(self._largest.read_value()) if self._watches else 0.0
        return largest if largest < np.inf else 0.0

    @largest.setter
    def largest(self, largest: float) -> None:
        self._largest.assign(largest)

    def save(self, store: Any) -> None:
        """Writes the range to the store of a Keras file."""
        store[_KEY] = np.float32(self._largest.read_value())

    def load(self, store: dict[str, Any]) -> dict[str, Any]:
        """Reads the range, which older files lack, and returns the rest of the store."""
        if _KEY in store:
            self._largest.assign(float(np.asarray(store[_KEY])))
        return {key: value for key, value in store.items() if key != _KEY}


def check_range(largest: float, name: str, x: Tensors) -> None:
    """Raises ValueError if `x` contains pixels far above the largest of training, if known."""
    if not largest or getattr(x, "dtype", None) not in _FLOATS:
        return
    values = np.asarray(x)
    most = float(values.max(initial=0))
    if not _FAR * largest < most <= _MOST:
        return
    if values.min() >= 0 and (values == np.floor(values)).all():
        raise ValueError(
            f"`{name}` must have the same range as in training, where no value exceeded "
            f"{largest:.3g}. Received: pixels up to {most:.0f}. Scale them as in training; task "
            f"sources divide by 255."
        )
