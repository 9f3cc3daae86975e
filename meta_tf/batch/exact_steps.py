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
    if not _is_rounded_up(options, name, per_call):
        return data
    if not isinstance(data, tf.data.Dataset):
        raise _not_whole(name, options[name], per_call, " Or pass a tf.data.Dataset.")
    # If Keras knows the number of batches, it prepares the data once more after the last one.
    return data.take(options[name]).take_while(lambda *_: True)


def check_whole_calls(options: dict[str, Any], per_call: int) -> None:
    """Raises ValueError if `fit` would make more outer steps than an epoch has."""
    if _is_rounded_up(options, "steps_per_epoch", per_call):
        raise _not_whole("steps_per_epoch", options["steps_per_epoch"], per_call)


def _is_rounded_up(options: dict[str, Any], name: str, per_call: int) -> bool:
    """Whether Keras would take more batches than an option says, if it is given."""
    steps = options.get(name)
    if per_call == 1 or steps is None:
        return False
    check_integer(name, steps, at_least=1)
    return steps % per_call != 0


def _not_whole(name: str, steps: int, per_call: int, more: str = "") -> ValueError:
    return ValueError(
        f"`{name}` must be a multiple of `steps_per_execution`, because each call into TensorFlow "
        f"takes that many batches. Received: {name}={steps} and steps_per_execution={per_call}. "
        f"Choose another number, or compile with another `steps_per_execution`.{more}"
    )
