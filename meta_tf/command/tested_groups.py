"""Which groups of a table, or classes of pictures, are evaluated: none that the training had."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from absl import flags

import meta_tf
from meta_tf import zoo
from meta_tf.command.build import build_tasks
from meta_tf.command.configure import task_of
from meta_tf.command.flag_types import NONE
from meta_tf.command.read_flags import trained_on
from meta_tf.command.seen_classes import own_name, seen_by
from meta_tf.command.settings import Choice
from meta_tf.tasks.class_split import joined as joined_classes
from meta_tf.tasks.column import number_in
from meta_tf.tasks.group_split import joined
from meta_tf.tasks.size_range import ends_of

_ANY = (1 / 3, 1 / 3, 1 / 3)  # so that three groups, or classes, are enough


@dataclasses.dataclass(frozen=True)
class Tested:
    """The tasks of an evaluation.

    Args:
      task: the tasks.
      trained: those of the training, if both are tables and its run is known.
      all_groups: whether to evaluate more groups of the table, or classes, than a test split has.
      known: whether groups with the name of a training group are the same group.
      seen: the classes of pictures that the training had, as far as they are known.
    """

    task: Choice
    trained: Choice | None = None
    all_groups: bool = False
    known: bool = True
    seen: frozenset[str] = frozenset()

    def source(self, learner: meta_tf.MetaLearner) -> tuple[meta_tf.tasks.Source, Any]:
        """The tasks, and the `baselines` for `evaluate`: the training groups where they are known.

        It prints which groups of a table, or classes of pictures, are evaluated.
        """
        if self.task.name == "images":
            return self._of_pictures(learner), True
        if self.all_groups:
            return self._of_all(learner)
        source = build_tasks(self.task, learner=learner)
        if self.task.name == "table":
            print(self._of_split(source), flush=True)
        return source, source.train

    def _of_pictures(self, learner: meta_tf.MetaLearner) -> meta_tf.tasks.Source:
        turned = self.task.value("rotations") == "classes"  # only training classes are turned
        task = _with(self.task, rotations=None) if turned else self.task
        everything = bool(self.seen or self.all_groups)
        if everything:  # a split of few classes need not be enough for a task
            task = _with(task, ways=1, train_ways=None, split=_ANY)
        source: Any = build_tasks(task, learner=learner)
        parts = source.train, source.valid, source.test
        names = [name for part in parts for name in part.classes]
        what = f"{len(source.test.classes)} of {len(names)} classes: those of the test split"
        if everything:
            had = {name for name in names if own_name(name) in self.seen}
            ways, left = ends_of("ways", self.task.value("ways")), len(names) - len(had)
            others = ""
            if had:
                others = ": the training had the others, or classes with their names"
            if left < ways[1]:
                cures = ["rename the folders of other classes"] * bool(had)
                cures += ["lower --ways"] * (left > 1) or ["add classes"]
                cure = " or ".join(cures).capitalize()
                raise ValueError(
                    f"--data_dir must hold --ways = {ways[1]} classes that the training did not "
                    f"have. Received: {self.task.value('path')}, with {left} of {len(names)}"
                    f"{others}. {cure}."
                )
            source.test = joined_classes(parts, had, ways)
            what = f"{left} of {len(names)} classes{others}" if had else f"all {left} classes"
        print(f"Evaluating {what}.{_not_inverted(learner)}", flush=True)
        return source

    def _of_all(self, learner: meta_tf.MetaLearner) -> tuple[meta_tf.tasks.Source, Any]:
        source: Any = build_tasks(_with(self.task, split=_ANY), learner=learner)
        trained = self._trained(learner)
        parts = source.train, source.valid, source.test
        names = {name for part in parts for name in part.groups}
        had: set[str] = set()
        if trained and self.known:
            had = {*trained.train.groups, *trained.valid.groups}
        numbers = {number_in(name) for name in had} - {None}  # "007" is 7 in a table of numbers
        seen = {name for name in names if name in had or number_in(name) in numbers}
        table = f"{len(names)} groups of {self.task.value('data')}"
        cure = ""
        if not self.of_training:
            cure = " If these are others, --groups_file=none evaluates all."
        if seen == names:
            raise ValueError(
                "--data must have groups that the training did not have. Received: "
                f"{table}, whose names are all those of training groups.{cure}"
            )
        line = f"Evaluating all {table}."
        if seen:
            line = f"Evaluating {len(names - seen)} of {table}: the training had groups with the "
            line += f"names of the other {len(seen)}.{cure}"
        print(line, flush=True)
        source.test = joined(parts, without=seen)
        return source, trained.train if trained else True

    def _trained(self, learner: meta_tf.MetaLearner) -> Any:
        """The tasks of the training; None if they are not known, or their table is gone."""
        if self.trained is None:
            return None
        try:
            return build_tasks(self.trained, learner=learner)
        except ValueError as error:
            print(
                "The groups of the training cannot be read, so groups with their names are "
                f"evaluated too. {error}",
                flush=True,
            )
            return None

    def _of_split(self, source: Any) -> str:
        """A line about the groups of a test split."""
        split, test = self.task.value("split"), len(source.test.groups)
        number = sum(len(part.groups) for part in (source.train, source.valid, source.test))
        line = f"Evaluating {test} of {number} groups: "
        if self.of_training and self.trained and self.trained.value("split") == split:
            return f"{line}the test groups of the training."
        chosen = split if isinstance(split, str | Path) else "a split by their names"
        return f"{line}the test groups of {chosen}. --groups_file=none evaluates all."

    @property
    def of_training(self) -> bool:
        """Whether the table is that of the training."""
        return self.trained is not None and _table(self.trained) == _table(self.task)


def _not_inverted(learner: meta_tf.MetaLearner) -> str:
    """A sentence if `adapt` would invert pictures, which a source of tasks does not."""
    takes, inverts = learner.pictures, {"light": "light ones", "yes": "them"}
    if takes is None or takes.invert not in inverts:
        return ""
    return f" Pictures are not inverted; meta-tf adapt inverts {inverts[takes.invert]}."


def tested_of(values: flags.FlagValues, trained: Choice | None) -> Tested:
    """The tasks of `meta-tf evaluate` from its flags.

    Another table than that of the training has no test split: all its groups are new, except for
    those with a name of a training group. The same is true for classes of pictures.
    """
    task = task_of(values)
    if task.name == "images":
        learner = values["learner"].value or ""
        others = learner in zoo.names() and "--task=images" not in trained_on(learner)
        return Tested(task, all_groups=others, seen=frozenset(seen_by(learner)))
    if task.name != "table":
        return Tested(task)
    tested = Tested(task, trained)
    if task.value("split") == NONE:
        return dataclasses.replace(tested, all_groups=True, known=tested.of_training)
    if trained is None or tested.of_training or values["groups_file"].present:
        return tested
    return dataclasses.replace(tested, all_groups=trained.value("split") == task.value("split"))


def _table(task: Choice) -> Path:
    return Path(task.value("data") or "").expanduser().resolve()


def _with(task: Choice, **given: Any) -> Choice:
    others = {name: value for name, value in task.set.items() if name not in given}
    return dataclasses.replace(task, given={**task.given, **given}, set=others)
