"""Limits `fit`, `evaluate` and `predict` to the requested number of batches.

Keras rounds the number up to whole calls of `steps_per_execution` batches, and replaces 0 by
another number.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from meta_tf.checks import check_integer

_NUMBERS = ("batch_size", "validation_batch_size", "steps", "steps_per_epoch", "validation_steps")


@contextlib.contextmanager
def exactly(learner: keras.Model, what: str, steps: int | None) -> Iterator[None]:
    """Within it, Keras's `evaluate` or `predict` uses `steps` batches, of any kind of data.

    Args:
      learner: the learner.
      what: the calls into TensorFlow to limit, `"test"` or `"predict"`.
      steps: the number of batches; all if None.
    """
    per_call = learner.steps_per_execution
    if steps is None or steps % per_call == 0:
        yield
        return
    name = f"{what}_function"
    getattr(learner, f"make_{name}")()
    whole, left = getattr(learner, name), steps

    def limited(batches: Any) -> Any:
        nonlocal left
        here, left = min(left, per_call), left - per_call
        return whole(batches if here == per_call else _first(batches, here))

    setattr(learner, name, limited)
    try:
        yield
    finally:
        if getattr(learner, name) is limited:  # not made again in the meantime
            setattr(learner, name, whole)


def check_numbers(options: Mapping[str, Any]) -> None:
    """Raises ValueError if an option for the number or the size of batches is not one."""
    for name in _NUMBERS:
        if options.get(name) is not None:
            check_integer(name, options[name], 1, "or None")


def check_whole_calls(steps: int | None, per_call: int) -> None:
    """Raises ValueError if `fit` would make more outer steps than an epoch has."""
    if steps is not None and steps % per_call:
        raise ValueError(
            "`steps_per_epoch` must be a multiple of `steps_per_execution`, because each call into "
            f"TensorFlow takes that many batches. Received: steps_per_epoch={steps} and "
            f"steps_per_execution={per_call}. Choose another number, or compile with another "
            "`steps_per_execution`."
        )


def _first(batches: Any, count: int) -> Any:
    """At most `count` batches of a list or an iterator."""
    if isinstance(batches, list):
        return batches[:count]
    # If there are none, StopIteration ends Keras's loop.
    return itertools.chain([next(batches)], itertools.islice(batches, count - 1))
