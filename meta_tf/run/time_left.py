"""How long a training will take, told once its pace is known."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras

_SECONDS = 10.0  # of steps, before the pace is told


class TimeLeft(keras.callbacks.Callback):
    """Prints, soon after a training began, how long the rest of it will take.

    The first call is not counted, as it traces and compiles. A training that ends before the
    pace is known says nothing.

    Args:
      done: the outer steps that have been made.
      total: how many there are in all.
      seconds: how long to look at the pace before telling it.
      clock: what tells the time, in seconds.

    Example:
      >>> told = TimeLeft(done=0, total=20)
      >>> batches = meta_tf.tasks.Sinusoid().train.batches(25)
      >>> history = learner.fit(batches, steps_per_epoch=2, verbose=0, callbacks=[told])
    """

    def __init__(
        self, done: int, total: int, seconds: float = _SECONDS, clock: Any = time.perf_counter
    ) -> None:
        super().__init__()
        self._done, self._total, self._seconds, self._clock = done, total, seconds, clock
        self._before = done  # this epoch
        self._first: tuple[int, float] | None = None  # the step and the time to measure from
        self._told = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self._before = self._done

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del logs
        self._done, now = self._before + batch + 1, self._clock()
        if self._first is None:
            self._first = self._done, now
        step, start = self._first
        if self._told or now - start < self._seconds:
            return
        self._told = True
        left = (now - start) / (self._done - step) * (self._total - self._done)
        if left >= 1:
            end = "\n" if sys.stdout.isatty() else ""  # not into Keras's progress bar
            print(
                f"{end}About {in_words(left)} for the {self._total - self._done} outer steps that "
                f"are left, by the pace of the first {self._done - step}. Ctrl-C saves; the same "
                "command goes on.",
                flush=True,
            )


def in_words(seconds: float) -> str:
    """A duration as people say it.

    Example:
      >>> in_words(42.4), in_words(600), in_words(9000)
      ('42 seconds', '10 minutes', '2.5 hours')
    """
    if seconds >= 1.5 * 3600:
        hours = seconds / 3600
        return f"{hours:.1f} hours" if hours < 9.95 else f"{hours:.0f} hours"
    if seconds >= 90:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} second{'s'[: round(seconds) != 1]}"
