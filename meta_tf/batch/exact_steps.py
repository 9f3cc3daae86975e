"""Limits `fit`, `evaluate` and `predict` to the requested number of batches."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.checks import check_integer


def exactly(data: Any, options: dict[str, Any], name: str, per_call: int) -> Any:
    """The data with no more batches than requested.

    Keras rounds the number up to whole calls of `steps_per_execution` batches.

    Args:
      data: the batches to evaluate or to predict.
      options: the other arguments of the call.
      name: the name of the option for the number of batches.
      per_call: `steps_per_execution`.

    Raises:
      ValueError: if the number is not a multiple of `per_call`, and `data` is not a
        `tf.data.Dataset`. Only a dataset can be cut off.
    """
    steps = options.get(name)
    if per_call == 1 or steps is None:
        return data
    check_integer(name, steps, at_least=1)
    if steps % per_call == 0:
        return data
    if not isinstance(data, tf.data.Dataset):
        raise _not_whole(name, steps, per_call, " Or pass a tf.data.Dataset.")
    # If Keras knows the number of batches, it prepares the data once more after the last one.
    return data.take(steps).take_while(lambda *_: True)


def check_whole_calls(options: dict[str, Any], per_call: int) -> None:
    """Raises ValueError if `fit` would make more outer steps than an epoch has."""
    steps = options.get("steps_per_epoch")
    if per_call > 1 and steps is not None:
        check_integer("steps_per_epoch", steps, at_least=1)
        if steps % per_call:
            raise _not_whole("steps_per_epoch", steps, per_call)


def _not_whole(name: str, steps: int, per_call: int, more: str = "") -> ValueError:
    return ValueError(
        f"`{name}` must be a multiple of `steps_per_execution`, because each call into TensorFlow "
        f"takes that many batches. Received: {name}={steps} and steps_per_execution={per_call}. "
        f"Choose another number, or compile with another `steps_per_execution`.{more}"
    )
