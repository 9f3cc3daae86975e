"""Limits `evaluate` and `predict` to the requested number of batches.

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
    per_call, name = learner.steps_per_execution, f"{what}_function"
    limits = steps is not None and steps % per_call > 0
    if limits:
        getattr(learner, f"make_{name}")()
    before = getattr(learner, name)
    # A callback can evaluate another dataset during an evaluation.
    whole = before.whole if isinstance(before, _Limited) else before
    now = _Limited(whole, steps, per_call) if limits else whole
    setattr(learner, name, now)
    try:
        yield
    finally:
        if getattr(learner, name) is now:  # not made again in the meantime
            setattr(learner, name, before)


class _Limited:
    """Keras's function `whole` of `per_call` batches, with fewer of them in the last call."""

    def __init__(self, whole: Any, steps: Any, per_call: int):
        self.whole, self._left, self._per_call = whole, steps, per_call

    def __call__(self, batches: Any) -> Any:
        here = min(self._left, self._per_call)
        self._left -= here
        return self.whole(batches if here == self._per_call else _first(batches, here))


def check_numbers(options: Mapping[str, Any]) -> None:
    """Raises ValueError if an option for the number or the size of batches is not one."""
    for name in _NUMBERS:
        if options.get(name) is not None:
            check_integer(name, options[name], 1, "or None")


def _first(batches: Any, count: int) -> Any:
    """At most `count` batches of a list or an iterator."""
    if isinstance(batches, list):
        return batches[:count]
    # If there are none, StopIteration ends Keras's loop.
    return itertools.chain([next(batches)], itertools.islice(batches, count - 1))
