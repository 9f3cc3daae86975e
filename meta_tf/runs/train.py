"""`meta-tf train`: trains, evaluates, draws and exports, and goes on where a run stopped."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import keras

import meta_tf
from meta_tf.algorithms import InnerLoop
from meta_tf.files import write_text
from meta_tf.runs import build, flags_file, outside, stop
from meta_tf.runs.checkpoints import Checkpoint, latest_checkpoint, run_of
from meta_tf.runs.devices import set_up_device
from meta_tf.runs.finish import finish
from meta_tf.runs.fit import check_profile, fit
from meta_tf.runs.flags import IMAGES
from meta_tf.runs.initial_weights import take_weights
from meta_tf.runs.kinds import largest
from meta_tf.runs.learners import import_modules
from meta_tf.runs.lock import claimed
from meta_tf.runs.start import check_replaceable, clear_way, find_start, wrong_with
from meta_tf.runs.strategy import set_up_strategy
from meta_tf.runs.workers import Workers


def run(flags: argparse.Namespace) -> None:
    """Does what the flags say, in the folder `flags.workdir`.

    Args:
      flags: those of `meta_tf.runs.flags.train_groups`, as `read_flags` returns them.

    Raises:
      ValueError: if they do not fit each other, the tasks, or the run that is in the folder.
    """
    set_up_device(flags.device, dense=flags.model == "mlp")
    workers = set_up_strategy(flags)
    import_modules(flags)
    keras.config.set_dtype_policy(flags.precision)
    keras.utils.set_random_seed(flags.seed)
    flags.workdir = flags.workdir or f"runs/{flags.preset or flags.task.split(':')[-1]}"
    if not workers.is_chief:
        _run(flags, workers, True)
        return
    with claimed(flags.workdir) as writable:
        _run(flags, workers, writable)


def _run(flags: argparse.Namespace, workers: Workers, writable: bool) -> None:
    """Goes on with the run of a folder that is claimed, or begins it; or helps its chief."""
    # Only an algorithm that classifies by itself asks for the ways, which a table alone knows.
    table = build.build_tasks(flags) if flags.task == "table" else None
    algorithm = build.build_algorithm(flags, build.ways_of(flags, table))
    restarts = False
    if workers.is_chief:
        flags_file.check_same_run(flags, algorithm)
        restarts = flags_file.restarts(flags, algorithm)
    tasks = table or build.build_tasks(flags)
    training = build.build_tasks(flags, training=True) if _trains_otherwise(flags) else tasks
    ways = _most(tasks.ways, largest(flags.train_ways) or training.ways)
    start, found = None, Usable(flags, algorithm)
    if workers.is_chief:
        # Several workers make a learner's variables together, and so not yet.
        with contextlib.nullcontext() if workers.are_several else workers.strategy.scope():
            start = find_start(flags, restarts, found.wrong_with)
        _check_left(flags, start.iteration if start else 0, writable)
        if writable:
            check_replaceable(Path(flags.workdir))
    with workers.training(), workers.same_start(start) as begin:
        with workers.strategy.scope():
            if begin:
                again = workers.are_several
                learner = _loaded(begin.path, algorithm) if again else found.learner
                _set_rates(learner, flags)
            else:
                learner = build.build_learner(flags, tasks, ways, algorithm)
                if flags.initial_weights:
                    take_weights(learner, flags.initial_weights)
        if workers.is_chief and writable:
            _begin(flags, algorithm, start, restarts)
        if writable:
            fit(flags, learner, training.train, tasks.valid, begin, stop.current(), workers)
    if workers.is_chief:
        if flags.strategy != "none":  # without what it shares with others
            learner = _loaded(latest_checkpoint(flags.workdir)[0], algorithm)
        finish(flags, learner, tasks, algorithm, writable)
        workers.end()


class Usable:
    """Finds out which checkpoints a run can go on from, and loads them.

    Attributes:
      learner: of the last one that it could.
    """

    def __init__(self, flags: argparse.Namespace, algorithm: meta_tf.Algorithm) -> None:
        self.learner: Any = None
        self._flags, self._algorithm = flags, algorithm

    def wrong_with(self, checkpoint: Checkpoint) -> str:
        """What is wrong with a checkpoint; empty if it has been loaded."""
        settings = run_of(checkpoint.path).get("settings", {})
        what = wrong_with(checkpoint) or flags_file.of_another_run(
            settings, self._flags, self._algorithm
        )
        if what:
            return what
        try:
            self.learner = _loaded(checkpoint.path, self._algorithm)
        except MemoryError:
            raise
        except Exception as error:  # whatever Keras stumbles over
            return f"Keras cannot load it: {outside.loading_error(error)}"
        return ""


def _begin(
    flags: argparse.Namespace,
    algorithm: meta_tf.Algorithm,
    start: Checkpoint | None,
    restarts: bool,
) -> None:
    """Says where the run begins, and makes its folder ready for that."""
    workdir = Path(flags.workdir)
    told = f"Going on from iteration {start.iteration}" if start else "Beginning at iteration 0"
    print(f"{told} of {flags.iterations}, in {workdir}.", flush=True)
    text = flags_file.text_of(flags, algorithm, restarts)
    clear_way(flags, start, restarts)
    write_text(workdir / "flags.txt", text)


def _check_left(flags: argparse.Namespace, done: int, writable: bool) -> None:
    """Raises ValueError if the steps that are left cannot be made."""
    if done > flags.iterations:
        raise ValueError(
            f"--iterations must be at least {done}, which the run in {flags.workdir} has made. "
            f"Received: --iterations={flags.iterations}. Raise it, or give another --workdir."
        )
    if done < flags.iterations and not writable:
        raise ValueError(
            f"--workdir={flags.workdir} cannot be written to, and {flags.iterations - done} "
            "iterations are left to make. Give another --workdir, or make this one writable."
        )
    if flags.profile:
        check_profile(flags, done)


def _trains_otherwise(flags: argparse.Namespace) -> bool:
    """Whether the tasks of the training are of another size, in a source of their own."""
    return flags.task not in IMAGES and bool(flags.train_ways or flags.train_shots)


def _most(ways: int | None, train_ways: int | None) -> int | None:
    """The classes that the learner has to tell apart, in training or afterwards."""
    return max(ways or 0, train_ways or 0) or None


def _loaded(checkpoint: Path | None, algorithm: meta_tf.Algorithm) -> Any:
    """The learner of a checkpoint, with the inner rate and steps to evaluate of now."""
    learner = keras.models.load_model(checkpoint)
    if isinstance(algorithm, InnerLoop):
        may_change = {"eval_steps": algorithm.eval_steps, "inner_lr": algorithm.inner_lr}
        learner.algorithm = dataclasses.replace(learner.algorithm, **may_change)
    return learner


def _set_rates(learner: meta_tf.MetaLearner, flags: argparse.Namespace) -> None:
    """Gives the outer optimiser the rates of the flags: others only after `--restart_from`."""
    optimizer: Any = learner.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of float16
    optimizer.learning_rate = build.outer_rate(flags)
    optimizer.global_clipnorm = build.clip_norm(flags)
