"""The settings of tasks, model and algorithm as dataclasses."""

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
    """The sizes of tasks. With a range LOW-HIGH, every task draws its own number.

    Args:
      ways: the number of classes in a task, or a range such as 2-20.
      shots: the number of support examples (in classification, per class), or a range.
      queries: the number of query examples (in classification, per class), or a range. By default
        as many as `shots`; for folders of images, as many as the smallest class allows, at most 15.
    """

    ways: _Ways = 5
    shots: _Shots = 1
    queries: _Shots | None = None


@dataclasses.dataclass(frozen=True)
class TrainingSizes:
    """The sizes of training tasks, if they differ.

    Args:
      train_ways: the number of classes in a training task; `ways` if unset.
      train_shots: the number of support examples in a training task; `shots` if unset.
    """

    train_ways: _Ways | None = None
    train_shots: _Shots | None = None


@dataclasses.dataclass(frozen=True)
class Learner:
    """The settings of a learner besides its model and its algorithm.

    Args:
      batch_norm: which statistics batch normalisation uses for the query set.
      initial_weights: start from the weights of this learner, if names and shapes agree: a shipped
        learner, a .keras file or a run's folder.
    """

    batch_norm: Literal["transductive", "support", "running"] = "transductive"
    initial_weights: str | Path | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """A part and its arguments by name.

    Args:
      part: the part.
      given: the arguments from flags and presets.
      set: the arguments from `--set`, which override them.
    """

    part: Part
    given: Mapping[str, Any]
    set: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.part.name

    def make(self, **more: Any) -> Any:
        """Creates it; flags override `more`, of which it gets the arguments that it has.

        Raises:
          ValueError: if an argument is missing or invalid; the message names the flag.
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
        """The largest number of classes in a task; None without classes."""
        return max(largest(self.sizes.ways), largest(self.training.train_ways)) or None


@dataclasses.dataclass(frozen=True)
class Train:
    """All settings of `meta-tf train`.

    Args:
      training: how the training runs.
      tasks: what the learner learns.
      model: its network.
      algorithm: how it learns a task.
      learner: its other settings.
      set: the arguments without a flag, as given to `--set`.
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
    """The flags that the settings use: those with a value, and those of the parts."""
    if isinstance(settings, Choice):
        return set(settings.part.flags())
    if isinstance(settings, tuple):
        return set().union(*map(names_in, settings))
    if not dataclasses.is_dataclass(settings):
        return set()
    given = {name for name, value in vars(settings).items() if value is not None}
    return given.union(*map(names_in, vars(settings).values()))
