"""`meta-tf train --algorithm=auto`: chooses the algorithm by short trainings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
from absl import flags

import meta_tf
from meta_tf.command import build
from meta_tf.command.configure import train_of, training_of
from meta_tf.command.define import Groups
from meta_tf.command.made_with import MadeWith
from meta_tf.command.read_flags import read_flags
from meta_tf.command.registry import AUTO
from meta_tf.command.settings import Train
from meta_tf.evaluation.select import Selection, select
from meta_tf.files import write_text
from meta_tf.run.devices import set_up_device
from meta_tf.run.lock import claimed
from meta_tf.run.settings import Training

_FILE = "selection.json"
_OF_NUMBERS = ("anil", "in_context", "maml", "alpaca")
_OF_CLASSES = ("protonet", "r2d2", "anil", "in_context")
_SHARE = 20  # the first round is a twentieth of the training
_LEAST = 50  # outer steps of the first round


@dataclasses.dataclass(frozen=True)
class Auto:
    """What `meta-tf train` is given before the algorithm is known."""

    training: Training
    command: tuple[str, ...] = ()


def auto_of(values: flags.FlagValues) -> Auto:
    """The settings of a training whose algorithm is not chosen yet."""
    training = training_of(values)
    if training.strategy != "none":
        raise ValueError(
            f"--algorithm=auto needs one process. Received: --strategy={training.strategy}. Choose "
            "on one machine, and train there with the algorithm that it names."
        )
    return Auto(training)


def chosen(auto: Auto, groups: Groups) -> Train:
    """The settings with the algorithm that a run's folder names, or that is chosen now.

    Raises:
      ValueError: if the folder contains a run with an algorithm that was not chosen, is in use by
        another run, or cannot be written to; or if its choice is damaged.
    """
    path = Path(auto.training.workdir) / _FILE
    if path.is_file() and not auto.training.restart:
        name = _best(path)
        print(f"--algorithm={name}, as {path} says; --restart chooses again.", flush=True)
        return _read(auto, groups, name)
    MadeWith(auto.training, {"algorithm": (AUTO, "")}).check_same_run()
    with claimed(path.parent) as writable:
        if not writable:
            raise ValueError(
                f"--workdir={path.parent} cannot be written to, but --algorithm=auto stores its "
                "choice there. Give another --workdir, or make this one writable."
            )
        selection = _selected(auto, groups)
        print(selection, flush=True)
        rounds = [r._asdict() for r in selection.rounds]
        text = {"best": selection.best, "metric": selection.metric, "rounds": rounds}
        write_text(path, json.dumps(text, indent=2) + "\n")
    return _read(auto, groups, selection.best)


def _best(path: Path) -> str:
    """The algorithm that was chosen."""
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["best"]
    except (KeyError, TypeError, ValueError):
        name = None
    if name not in (*_OF_NUMBERS, *_OF_CLASSES):
        raise ValueError(
            f"{path} must name the chosen algorithm. Received: a damaged file. Add --restart to "
            "choose again, which begins at step 0, or name the algorithm with --algorithm."
        )
    return str(name)


def _selected(auto: Auto, groups: Groups) -> Selection:
    """Trains the algorithms that suit the tasks briefly."""
    training = auto.training
    first = _read(auto, groups, "anil")  # which suits tasks of either kind
    set_up_device(training.device)
    keras.config.set_dtype_policy(training.precision)
    tasks = build.build_tasks(first.task, first.sizes)
    learners: dict[str, meta_tf.MetaLearner] = {}
    reasons = []
    for name in _OF_CLASSES if tasks.kind == "classification" else _OF_NUMBERS:
        keras.utils.set_random_seed(training.seed)
        try:
            train = _read(auto, groups, name)
            algorithm = build.build_algorithm(train, tasks)
            constant = dataclasses.replace(train.training, meta_schedule="constant")
            train = dataclasses.replace(train, training=constant)
            learners[name] = build.build_learner(train, tasks, algorithm)
        except ValueError as error:
            reasons.append(f"{name} is left out: {error}")
    print("\n".join(reasons), end="\n" * bool(reasons))
    if not learners:
        raise ValueError(reasons[0])
    steps = max(_LEAST, training.iterations // _SHARE)
    names = ", ".join(learners)
    print(f"Choosing among {names}: {steps} outer steps of each, then the better half.", flush=True)
    return select(learners, tasks, steps, training.meta_batch_size, seed=training.seed)


def _read(auto: Auto, groups: Groups, name: str) -> Train:
    """The settings of the command with this algorithm in place of `auto`."""
    words = [*auto.command, f"--algorithm={name}", f"--workdir={auto.training.workdir}"]
    train = train_of(read_flags("meta-tf train", groups, words))
    return dataclasses.replace(train, command=auto.command)
