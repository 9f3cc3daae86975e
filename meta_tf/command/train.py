"""`meta-tf train`: trains, evaluates, draws and exports; resumes an interrupted run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
from absl import flags

import meta_tf
from meta_tf.algorithms import InnerLoop
from meta_tf.command import build
from meta_tf.command.auto import Auto, auto_of, chosen
from meta_tf.command.configure import train_of
from meta_tf.command.define import Groups
from meta_tf.command.finish import finish
from meta_tf.command.initial_weights import take_weights
from meta_tf.command.learners import loading_error
from meta_tf.command.made_with import NAME, MadeWith, made_with
from meta_tf.command.registry import AUTO, has_inner_loop, renamed
from meta_tf.command.seen_classes import check_unseen, seen_by, seen_in
from meta_tf.command.settings import Learner, Train, TrainingSizes
from meta_tf.export import saved_model
from meta_tf.files import write_text
from meta_tf.run import stop
from meta_tf.run.checkpoints import (
    EXPORT,
    Checkpoint,
    check_replaceable,
    checkpoint_to_use,
    clear_way,
    damage,
    find_start,
    run_of,
)
from meta_tf.run.devices import set_up_device, set_up_strategy
from meta_tf.run.fit import check_profile, fit
from meta_tf.run.lock import claimed
from meta_tf.run.settings import Training
from meta_tf.run.workers import Workers
from meta_tf.tasks.columns import check_columns

GROUPS: Groups = {
    "run and outer loop": ["--preset", "--flagfile", Training],
    "tasks": ["task", TrainingSizes],
    "model": ["model", Learner],
    "algorithm": ["algorithm"],
    "from outside the package": ["--set", "--import"],
}
EXAMPLES = """
  meta-tf train                         Finn's 10-shot sinusoid, in about a minute
  meta-tf train --preset=omniglot_5way_1shot --data_dir=DIR --iterations=3000
  meta-tf train --task=images --data_dir=DIR
  meta-tf train --task=table --data=FILE --target=COLUMN --group=COLUMN --algorithm=auto
  meta-tf train --algorithm=my.module:MyAlgorithm --set my_setting=3
The same command resumes an interrupted run, and shows the results of a finished one. A preset is a
file of flags; flags on the command line override it. --noNAME is the same as --NAME=False.
"""


def settings(values: flags.FlagValues) -> Train | Auto:
    """The settings that the flags give."""
    return auto_of(values) if values["algorithm"].value == AUTO else train_of(values)


def run(train: Train | Auto) -> None:
    """Trains in the folder `train.training.workdir`, after choosing the algorithm for `auto`.

    Raises:
      ValueError: if the settings do not fit each other, the tasks, or the run in the folder.
    """
    if isinstance(train, Auto):
        train = chosen(train, GROUPS)
    training = train.training
    # XLA compiles neither convolutions nor algorithms that solve equations.
    algorithm = train.algorithm
    compiled = has_inner_loop(algorithm.component) or algorithm.name == "in_context"
    set_up_device(training.device, share_operations=compiled and train.model.name == "mlp")
    workers = set_up_strategy(training)
    keras.config.set_dtype_policy(training.precision)
    keras.utils.set_random_seed(training.seed)
    # Only the chief has a folder.
    with claimed(training.workdir) if workers.is_chief else nullcontext(True) as writable:
        _run(train, workers, writable)


def _run(train: Train, workers: Workers, writable: bool) -> None:
    """Starts or resumes the run in a locked folder, or helps the chief of the run."""
    training = train.training
    # Where no flag sets the number of classes, which some algorithms need, the source knows it.
    has_ways = "ways" in train.task.component.takes
    tasks = None if has_ways else build.build_tasks(train.task, train.sizes)
    algorithm = build.build_algorithm(train, tasks)
    made = made_with(train, algorithm)
    if workers.is_chief:
        made.check_same_run()
        if not made.restarts():
            training = dataclasses.replace(training, restart_from=None)
    tasks = tasks or build.build_tasks(train.task, train.sizes)
    start, load = None, functools.cache(lambda path: _loaded(path, algorithm))
    if workers.is_chief:
        start = find_start(training, lambda c: wrong_with(c, made, load))
        seen = seen_by(start.path) if start else set()
        check_unseen(seen, tasks)
        made = dataclasses.replace(made, seen=frozenset(seen | seen_in(tasks)))
        if training.strategy != "none":
            load.cache_clear()  # replicas need variables that are made in the strategy's scope
        _check_left(training, start.iteration if start else 0, writable)
        if writable:
            check_replaceable(Path(training.workdir))
            with renamed({"`filepath`": f"{EXPORT} in --workdir"}):
                saved_model.check_path(Path(training.workdir) / EXPORT)
    with workers.training(), workers.same_start(start) as begin:
        with workers.strategy.scope():
            if begin:
                learner = load(begin.path)
                check_columns(learner.columns, tasks.train)  # the table may have changed
                _set_rates(learner, training)
            else:
                learner = build.build_learner(train, tasks, algorithm)
                if train.learner.initial_weights:
                    take_weights(learner, train.learner.initial_weights)
        build.check_evaluation(train, learner, tasks)
        if workers.is_chief and writable:
            _begin(training, made, start)
        if writable:
            fit(
                training,
                learner,
                tasks.train,
                tasks.valid,
                begin,
                stop.current(),
                workers,
                made.texts(),
            )
    if workers.is_chief:
        last = checkpoint_to_use(training)
        # With a strategy, the checkpoint has no variables that replicas share.
        if training.strategy != "none" or last.iteration != training.iterations:
            learner = _loaded(last.path, algorithm)
        finish(train, learner, tasks, made, last.iteration, writable)
        workers.end()


def wrong_with(checkpoint: Checkpoint, made_with: MadeWith, load: Callable[[Path], Any]) -> str:
    """Why a run cannot resume from a checkpoint, which `load` loads; empty if it can."""
    settings = run_of(checkpoint.path).get("settings", {})
    if what := damage(checkpoint) or made_with.of_another_run(settings):
        return what
    try:
        load(checkpoint.path)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises many kinds of errors
        return f"Keras cannot load it: {loading_error(error)}"
    return ""


def _begin(training: Training, made_with: MadeWith, start: Checkpoint | None) -> None:
    """Prints where the run starts, and prepares its folder."""
    workdir = Path(training.workdir)
    begin = f"Continuing from iteration {start.iteration}" if start else "Starting at iteration 0"
    print(f"{begin} of {training.iterations}, in {workdir}.", flush=True)
    text = made_with.text()
    clear_way(training, start)
    write_text(workdir / NAME, text)


def _check_left(training: Training, done: int, writable: bool) -> None:
    """Raises ValueError if the remaining steps are impossible."""
    iterations, workdir = training.iterations, training.workdir
    if done > iterations:
        raise ValueError(
            f"--iterations must be at least {done}, as many as the run in {workdir} has done. "
            f"Received: --iterations={iterations}. Raise it, or give another --workdir."
        )
    if done < iterations and not writable:
        raise ValueError(
            f"--workdir={workdir} cannot be written to, but {iterations - done} iterations remain. "
            "Give another --workdir, or make this one writable."
        )
    if training.profile:
        check_profile(training, done)


def _loaded(checkpoint: Path, algorithm: meta_tf.Algorithm) -> Any:
    """The learner of a checkpoint, with the current `inner_lr` and `eval_steps`."""
    learner = keras.models.load_model(checkpoint)
    if isinstance(algorithm, InnerLoop):
        may_change = {"eval_steps": algorithm.eval_steps, "inner_lr": algorithm.inner_lr}
        learner.algorithm = dataclasses.replace(learner.algorithm, **may_change)
    return learner


def _set_rates(learner: meta_tf.MetaLearner, training: Training) -> None:
    """Sets the rates of the outer optimiser; they differ only after `--restart_from`."""
    optimizer: Any = learner.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # in float16
    optimizer.learning_rate = build.outer_rate(training)
    optimizer.global_clipnorm = training.clip_norm
