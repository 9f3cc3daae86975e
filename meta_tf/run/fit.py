"""Runs the outer steps of a training, with checkpoints and logs."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from pathlib import Path
from typing import Any

import keras

import meta_tf
from meta_tf.algorithms import InnerLoop
from meta_tf.data_checks.finite import DivergedStepError
from meta_tf.run.checkpoints import Checkpoint, epoch_of, latest_checkpoint
from meta_tf.run.log import DivergedError, RunLog
from meta_tf.run.settings import Training
from meta_tf.run.stop import StopRequest
from meta_tf.run.workers import Workers

PROFILED_CALLS = (3, 5)  # the first call traces and compiles
_SECONDS = 10.0  # after which the remaining time is estimated
_VALIDATED = 200  # tasks of a validation


def fit(
    training: Training,
    learner: meta_tf.MetaLearner,
    train: Any,
    valid: Any,
    start: Checkpoint | None = None,
    stop: StopRequest | None = None,
    workers: Workers | None = None,
    settings: dict[str, str] | None = None,
) -> None:
    """Runs the remaining outer steps. An epoch is the steps between two checkpoints.

    Args:
      training: how the training runs.
      learner: the learner, after the steps of `start`.
      train: the tasks to train on.
      valid: the tasks for the validation after every epoch.
      start: the checkpoint that the learner was loaded from, if any.
      stop: whether to save a checkpoint after the current step and stop.
      workers: the processes that train together.
      settings: what the run was made with, for its checkpoints.

    Raises:
      ValueError: if a loss or a weight is no longer finite.
      Stopped: if `stop` was requested.
    """
    stop, workers = stop or StopRequest(), workers or Workers()
    epoch = epoch_of(start.path) if start else {}
    log = RunLog(
        training.workdir,
        start.iteration if start else 0,
        keep=training.keep_checkpoints,
        keep_best=training.restore_best,
        epoch=epoch,
        stop=stop,
        workers=workers,
        settings=settings,
    )
    callbacks: list[keras.callbacks.Callback] = [log]
    if workers.is_chief:
        callbacks += [TimeLeft(log.iteration, training.iterations), *_tensorboard(training)]
    validation = valid.batches(training.meta_batch_size, seed=training.seed + 1)
    if "metrics" in epoch:  # Keras creates the metrics' variables with the first batch
        learner.evaluate(validation, steps=1, verbose=0)
    options = {
        "validation_data": validation,
        "validation_steps": max(1, _VALIDATED // training.meta_batch_size),
        "callbacks": callbacks,
        "shuffle": False,
        "verbose": (1 if sys.stdout.isatty() else 2) if workers.is_chief else 0,
    }
    try:
        while log.iteration < training.iterations:
            with stop.finishing():
                _fit_epochs(training, learner, train, log.iteration, options)
                log.stop_if_asked()
    except (DivergedError, DivergedStepError) as error:
        raise ValueError(_diverged(training, learner, error, workers.is_chief)) from error


def _fit_epochs(
    training: Training, learner: meta_tf.MetaLearner, train: Any, done: int, options: dict[str, Any]
) -> None:
    """Runs the rest of an epoch that was interrupted, all whole epochs, or the shorter last one."""
    every, left = min(training.checkpoint_every, training.iterations), training.iterations - done
    steps = min(every - done % every, left)
    epochs = 1 if steps < every else left // every
    # The requested number, if it divides the epoch; the same in each part of an epoch.
    per_call = math.gcd(done % every, steps, training.steps_per_execution)
    changed = per_call != learner.steps_per_execution
    learner.steps_per_execution = per_call
    # Their traces contain the number.
    learner.make_train_function(force=changed)
    learner.make_test_function(force=changed)
    learner.fit(
        train.batches(training.meta_batch_size, seed=training.seed, start=done),
        steps_per_epoch=steps,
        initial_epoch=done // every,
        epochs=done // every + epochs,
        **options,
    )


def check_profile(training: Training, done: int) -> None:
    """Raises ValueError if there is nothing to profile, or no TensorBoard."""
    if not _has_tensorboard():
        raise ValueError("--profile needs tensorboard. Install it: pip install tensorboard")
    left, calls = max(0, training.iterations - done), PROFILED_CALLS[1]
    if 0 < left < calls * training.steps_per_execution:
        raise ValueError(
            f"--profile needs at least {calls} calls into TensorFlow. Received: {left} steps left, "
            f"{training.steps_per_execution} a call. Raise --iterations or lower "
            "--steps_per_execution."
        )


def _has_tensorboard() -> bool:
    return importlib.util.find_spec("tensorboard") is not None


def _tensorboard(training: Training) -> list[keras.callbacks.Callback]:
    """The callback that writes logs for TensorBoard, if that is installed."""
    if not _has_tensorboard():
        return []
    profiled = PROFILED_CALLS if training.profile else 0
    folder = Path(training.workdir) / "tensorboard"
    return [keras.callbacks.TensorBoard(folder, write_graph=False, profile_batch=profiled)]


def _diverged(
    training: Training,
    learner: meta_tf.MetaLearner,
    error: DivergedError | DivergedStepError,
    is_chief: bool,
) -> str:
    """The message for a loss or a weight that is no longer finite."""
    if isinstance(error, DivergedStepError):
        made = int(learner.optimizer.iterations) + 1
        error = DivergedError(f"{error.what} became nan or infinite", made, made)
    if not is_chief:  # only the chief has the checkpoints
        return f"{error}, as the chief reports"
    rates = [f"--meta_lr={training.meta_lr:g}"]
    if isinstance(learner.algorithm, InnerLoop):
        rates.insert(0, f"--inner_lr={learner.algorithm.inner_lr:g}")
    first, last = error.first, error.last
    when = f"iteration {last}" if first == last else f"iterations {first} to {last}"
    path, left = latest_checkpoint(training.workdir)
    cure, kept = "Lower a rate or set --clip_norm", "there is no checkpoint yet"
    if path:
        cure += f", and continue with --restart_from={left}"
        kept = f"the last checkpoint is {path}"
    return f"{error} in {when}; {kept}. Received: {', '.join(rates)}. {cure}."


class TimeLeft(keras.callbacks.Callback):
    """Prints, soon after the start of a training, how long the rest will take.

    The first call is not counted, because it traces and compiles. A training that ends before then
    prints nothing.

    Args:
      done: the number of outer steps before this training.
      total: the number of outer steps at its end.
      seconds: how long to measure before printing.
      clock: returns the time in seconds.

    Example:
      >>> time_left = TimeLeft(done=0, total=20)
      >>> batches = meta_tf.tasks.Sinusoid().train.batches(25)
      >>> history = learner.fit(batches, steps_per_epoch=2, verbose=0, callbacks=[time_left])
    """

    def __init__(
        self, done: int, total: int, seconds: float = _SECONDS, clock: Any = time.perf_counter
    ) -> None:
        super().__init__()
        self._done, self._total, self._seconds, self._clock = done, total, seconds, clock
        self._before = done  # before this epoch
        self._first: tuple[int, float] | None = None  # step and time at the start of measuring
        self._printed = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self._before = self._done

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del logs
        self._done, now = self._before + batch + 1, self._clock()
        if self._first is None:
            self._first = self._done, now
        step, start = self._first
        if self._printed or now - start < self._seconds:
            return
        self._printed = True
        left = (now - start) / (self._done - step) * (self._total - self._done)
        if left >= 1:
            end = "\n" if sys.stdout.isatty() else ""  # not into Keras's progress bar
            print(
                f"{end}About {in_words(left)} for the remaining {self._total - self._done} outer "
                f"steps, at the speed of the last {self._done - step}. Ctrl-C saves; the same "
                "command continues.",
                flush=True,
            )


def in_words(seconds: float) -> str:
    """A duration in words.

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
