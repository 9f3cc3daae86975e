"""`meta-tf train`: trains, evaluates, draws and exports, and goes on where a run stopped."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import keras

import meta_tf
from meta_tf.algorithms import InnerLoop
from meta_tf.files import write_text
from meta_tf.runs import build, flags_file, run_folder
from meta_tf.runs.devices import set_up_device
from meta_tf.runs.finish import finish
from meta_tf.runs.fit import check_profile, fit


def run(flags: argparse.Namespace) -> None:
    """Does what the flags say, in the folder `flags.workdir`.

    Args:
      flags: those of `meta_tf.runs.flags.train_groups`, as `read_flags` returns them.

    Raises:
      ValueError: if they do not fit each other, the tasks, or the run that is in the folder.
    """
    set_up_device(flags.device)
    keras.config.set_dtype_policy(flags.precision)
    keras.utils.set_random_seed(flags.seed)
    flags.workdir = flags.workdir or f"runs/{flags.preset or flags.task.split(':')[-1]}"
    workdir = Path(flags.workdir)
    # Only an algorithm that classifies by itself asks for the ways.
    algorithm = build.build_algorithm(flags, build.ways_of(flags))
    flags_file.check_same_run(flags, algorithm)
    tasks = build.build_tasks(flags)
    training = build.build_tasks(flags, training=True) if _trains_otherwise(flags) else tasks
    checkpoint, done = run_folder.latest_checkpoint(workdir)
    if done > flags.iterations:
        raise ValueError(
            f"--iterations must be at least {done}, which the run in {workdir} has made. Received: "
            f"--iterations={flags.iterations}. Raise it, or give another --workdir."
        )
    if flags.profile:
        check_profile(flags, done)
    if checkpoint:
        print(f"Going on from iteration {done} of {flags.iterations}, in {workdir}.")
        learner = _loaded(checkpoint, algorithm)
    else:
        learner = build.build_learner(flags, tasks, _most(tasks.ways, training.ways), algorithm)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / "flags.txt", flags_file.text_of(flags, algorithm))
    fit(flags, learner, training.train, tasks.valid)
    finish(flags, learner, tasks, algorithm)


def _trains_otherwise(flags: argparse.Namespace) -> bool:
    """Whether the tasks of the training are of another size."""
    return bool(flags.train_ways or flags.train_shots)


def _most(ways: int | None, train_ways: int | None) -> int | None:
    """The classes that the learner has to tell apart, in training or afterwards."""
    return max(ways or 0, train_ways or 0) or None


def _loaded(checkpoint: Path, algorithm: meta_tf.Algorithm) -> Any:
    """The learner of a checkpoint, with the number of steps to evaluate that is asked for now."""
    learner = keras.models.load_model(checkpoint)
    if isinstance(algorithm, InnerLoop):
        steps = algorithm.eval_steps
        learner.algorithm = dataclasses.replace(learner.algorithm, eval_steps=steps)
    return learner
