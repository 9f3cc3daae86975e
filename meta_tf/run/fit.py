"""The outer steps of a run, with its checkpoints and logs."""

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

PROFILED_CALLS = (3, 5)  # not the first, which traces and compiles
_SECONDS = 10.0  # of steps, before their pace is printed


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
    """Makes the outer steps that are left; an epoch is what lies between two checkpoints.

    Args:
      training: how the training runs.
      learner: with the steps that `start` has.
      train: the part of the tasks to learn from.
      valid: the part to look at after every epoch.
      start: the checkpoint that the learner was loaded from, if any.
      stop: whether to stop after the step at hand, with a checkpoint.
      workers: those that train together.
      settings: what the run was made with, which its checkpoints keep.

    Raises:
      ValueError: if a loss or a weight is not finite any more.
      Stopped: if `stop` has been asked for.
    """
    every, stop = min(training.checkpoint_every, training.iterations), stop or StopRequest()
    workers = workers or Workers()
    epoch = epoch_of(start.path) if start else {}
    log = RunLog(
        training.workdir,
        start.iteration if start else 0,
        keep=training.keep_checkpoints,
        epoch=epoch,
        stop=stop,
        workers=workers,
        settings=settings,
    )
    callbacks: list[keras.callbacks.Callback] = [log]
    if workers.is_chief:
        callbacks += [TimeLeft(log.iteration, training.iterations), *_tensorboard(training)]
    verbose = (1 if sys.stdout.isatty() else 2) if workers.is_chief else 0
    validation = valid.batches(training.meta_batch_size, seed=training.seed + 1)
    if "metrics" in epoch:  # Keras makes the metrics' variables with the first batch of all
        learner.evaluate(validation, steps=1, verbose=0)
    made_for = None
    while log.iteration < training.iterations:
        # Up to the next multiple, so that the last and an interrupted epoch may be shorter.
        steps = min(every - log.iteration % every, training.iterations - log.iteration)
        epochs = 1 if steps < every else (training.iterations - log.iteration) // every
        # As asked for, if that divides the epoch; the same in each part of one.
        per_call = math.gcd(log.iteration % every, steps, training.steps_per_execution)
        learner.steps_per_execution = per_call
        learner.make_train_function(force=per_call != made_for)
        made_for = per_call
        number = log.iteration // every
        try:
            with stop.finishing():
                learner.fit(
                    train.batches(
                        training.meta_batch_size, seed=training.seed, start=log.iteration
                    ),
                    steps_per_epoch=steps,
                    initial_epoch=number,
                    epochs=number + epochs,
                    validation_data=validation,
                    validation_steps=max(1, 200 // training.meta_batch_size),
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=verbose,
                )
                log.stop_if_asked()
        except (DivergedError, DivergedStepError) as error:
            if isinstance(error, DivergedStepError):
                made = int(learner.optimizer.iterations) + 1
                what = f"{error.what} became nan or infinite"
                error = DivergedError(what, made, made)
            if not workers.is_chief:  # which knows what is left
                raise ValueError(f"{error}, as the chief tells") from error
            raise ValueError(_diverged(training, learner, error)) from error


def check_profile(training: Training, done: int) -> None:
    """Raises ValueError if `--profile` cannot be: without TensorBoard, or with too few calls."""
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


def _diverged(training: Training, learner: meta_tf.MetaLearner, error: DivergedError) -> str:
    """What to say when a loss or a weight is not finite any more."""
    rates = [f"--meta_lr={training.meta_lr:g}"]
    if isinstance(learner.algorithm, InnerLoop):
        rates.insert(0, f"--inner_lr={learner.algorithm.inner_lr:g}")
    first, last = error.first, error.last
    when = f"iteration {last}" if first == last else f"iterations {first} to {last}"
    path, left = latest_checkpoint(training.workdir)
    cure = "Lower a rate or set --clip_norm"
    kept = "no checkpoint had been made"
    if path:
        cure += f", and go on with --restart_from={left}"
        kept = f"the last checkpoint is {path}"
    return f"{error} in {when}; {kept}. Received: {', '.join(rates)}. {cure}."


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
