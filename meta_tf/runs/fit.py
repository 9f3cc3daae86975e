"""The outer steps of a run, with its checkpoints and logs."""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import keras

import meta_tf
from meta_tf.algorithms import InnerLoop
from meta_tf.runs import run_folder

PROFILED_CALLS = (3, 5)  # not the first, which traces and compiles


def fit(flags: argparse.Namespace, learner: meta_tf.MetaLearner, train: Any, valid: Any) -> None:
    """Makes the outer steps that are left; an epoch is what lies between two checkpoints.

    Args:
      flags: those of `meta-tf train`.
      learner: with the steps that the run's folder has a checkpoint of.
      train: the part of the tasks to learn from.
      valid: the part to look at after every epoch.

    Raises:
      ValueError: if the loss is not finite any more.
    """
    every = min(flags.checkpoint_every, flags.iterations)
    log = run_folder.RunLog(flags.workdir, run_folder.latest_checkpoint(flags.workdir)[1])
    callbacks = [keras.callbacks.TerminateOnNaN(raise_error=True), log, *_tensorboard(flags)]
    validation = valid.batches(flags.meta_batch_size, seed=flags.seed + 1)
    while log.iteration < flags.iterations:
        # Up to the next multiple, so that the last and an interrupted epoch may be shorter.
        steps = min(every - log.iteration % every, flags.iterations - log.iteration)
        epochs = 1 if steps < every else (flags.iterations - log.iteration) // every
        per_call = math.gcd(steps, flags.steps_per_execution)
        if per_call != learner.steps_per_execution:
            learner.steps_per_execution = per_call
            learner.make_train_function(force=True)
        epoch = -(-log.iteration // every)
        try:
            learner.fit(
                train.batches(flags.meta_batch_size, seed=flags.seed, start=log.iteration),
                steps_per_epoch=steps,
                initial_epoch=epoch,
                epochs=epoch + epochs,
                validation_data=validation,
                validation_steps=max(1, 200 // flags.meta_batch_size),
                callbacks=callbacks,
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,
            )
        except RuntimeError as error:
            if "NaN or Inf loss" not in str(error):  # of TerminateOnNaN
                raise
            raise ValueError(_diverged(flags, learner, log.iteration, every)) from error


def check_profile(flags: argparse.Namespace, done: int) -> None:
    """Raises ValueError if `--profile` cannot be: without TensorBoard, or with too few calls."""
    if not _has_tensorboard():
        raise ValueError("--profile needs tensorboard. Install it: pip install tensorboard")
    left, calls = max(0, flags.iterations - done), PROFILED_CALLS[1]
    if 0 < left < calls * flags.steps_per_execution:
        raise ValueError(
            f"--profile needs at least {calls} calls into TensorFlow. Received: {left} steps left, "
            f"{flags.steps_per_execution} a call. Raise --iterations or lower "
            "--steps_per_execution."
        )


def _has_tensorboard() -> bool:
    return importlib.util.find_spec("tensorboard") is not None


def _tensorboard(flags: argparse.Namespace) -> list[keras.callbacks.Callback]:
    """The callback that writes logs for TensorBoard, if that is installed."""
    if not _has_tensorboard():
        return []
    profiled = PROFILED_CALLS if flags.profile else 0
    folder = Path(flags.workdir) / "tensorboard"
    return [keras.callbacks.TensorBoard(folder, write_graph=False, profile_batch=profiled)]


def _diverged(
    flags: argparse.Namespace, learner: meta_tf.MetaLearner, iteration: int, every: int
) -> str:
    """What to say when the loss is not finite any more."""
    rates = [f"--meta_lr={flags.meta_lr:g}"]
    if isinstance(learner.algorithm, InnerLoop):
        rates.insert(0, f"--inner_lr={learner.algorithm.inner_lr:g}")
    return (
        f"the loss became nan or infinite between iterations {iteration} and {iteration + every}. "
        f"Received: {', '.join(rates)}. Lower a rate or set --clip_norm"
        f"{', in another --workdir' if iteration else ''}."
    )
