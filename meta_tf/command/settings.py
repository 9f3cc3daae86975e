"""What the flags of tasks and networks become: typed, and not changed afterwards."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from meta_tf.command.flag_types import largest
from meta_tf.command.registry import Part, first_sentence
from meta_tf.run.settings import AtLeast, Training
from meta_tf.tasks.size_range import SizeRange

_Ways = Annotated[SizeRange, AtLeast(2)]
_Shots = Annotated[SizeRange, AtLeast(1)]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The size of tasks. With a range LOW-HIGH every task draws its own number.

    Args:
      ways: classes in a task; a range such as 2-20 where classes are drawn.
      shots: support examples, in a classification of each class; or a range.
      queries: query examples, likewise. If unset, as many as `shots` or as the highest of its
        range; of class folders as many as the smallest class leaves, at most 15.
    """

    ways: _Ways = 5
    shots: _Shots = 1
    queries: _Shots | None = None


@dataclasses.dataclass(frozen=True)
class TrainingSizes:
    """The size of the tasks that a learner is trained on, where that differs.

    Args:
      train_ways: classes in a training task; `ways` if unset.
      train_shots: support examples in one; `shots` if unset.
    """

    train_ways: _Ways | None = None
    train_shots: _Shots | None = None


@dataclasses.dataclass(frozen=True)
class Learner:
    """What a learner has besides its network and its algorithm.

    Args:
      batch_norm: whose statistics batch normalisation uses for the query set.
      initial_weights: begin with the weights of this learner, where names and shapes agree: a
        shipped one, a .keras file or a run's folder.
    """

    batch_norm: Literal["transductive", "support", "running"] = "transductive"
    initial_weights: str | Path | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """A part, and the arguments that it is given, by name.

    Args:
      part: what makes it.
      given: its arguments by flags and presets.
      set: those by `--set`, which go over them.
    """

    part: Part
    given: Mapping[str, Any]
    set: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return self.part.name

    def make(self, **more: Any) -> Any:
        """Makes it, with those of `more` that it takes; flags go over these.

        Raises:
          ValueError: if an argument is missing or wrong; the message has the flags' names.
        """
        part = self.part
        own = {name: value for name, value in more.items() if name in part.takes}
        arguments = {**own, **self.given, **self.set}
        for argument in part.takes.values():
            if argument.default is inspect.Parameter.empty and argument.name not in arguments:
                flag = f"--{part.flag_of(argument.name)}"
                if not part.is_built_in:
                    flag = f"--set {part.what}.{argument.name}=VALUE"
                about = first_sentence(argument.about)
                raise ValueError(
                    f"{flag} is needed for --{part.what}={part.name}. {about} Received: none."
                )
        try:
            return part.make(**arguments)
        except ValueError as error:
            message = str(error).replace("kind='regression'", "--kind=regression")
            raise ValueError(part.by_flags(message)) from error


@dataclasses.dataclass(frozen=True)
class Tasks:
    """Where tasks come from, and their sizes."""

    source: Choice
    sizes: Sizes
    training: TrainingSizes = TrainingSizes()

    def of_training(self) -> Sizes:
        """The sizes of training tasks."""
        ways, shots = self.training.train_ways, self.training.train_shots
        own = {"ways": ways or self.sizes.ways, "shots": shots or self.sizes.shots}
        return dataclasses.replace(self.sizes, **own)

    def largest_ways(self) -> int | None:
        """The most classes that a learner has to tell apart; None without classes."""
        return max(largest(self.sizes.ways), largest(self.training.train_ways)) or None


@dataclasses.dataclass(frozen=True)
class Train:
    """All that `meta-tf train` is given.

    Args:
      training: how the training runs.
      tasks: what the learner learns.
      model: its network.
      algorithm: how it learns a task.
      learner: its other settings.
      set: arguments without a flag, as they were given.
      command: the words of the command line.
    """

    training: Training
    tasks: Tasks
    model: Choice
    algorithm: Choice
    learner: Learner
    set: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def names_in(settings: Any) -> set[str]:
    """The flags of settings that have a value or, of a part, a meaning."""
    if isinstance(settings, Choice):
        return set(settings.part.flags())
    if isinstance(settings, tuple):
        return set().union(*map(names_in, settings))
    if not dataclasses.is_dataclass(settings):
        return set()
    given = {name for name, value in vars(settings).items() if value is not None}
    return given.union(*map(names_in, vars(settings).values()))
