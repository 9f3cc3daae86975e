"""The settings of tasks, model, algorithm and adaptation as dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from meta_tf.command.registry import GIVEN, Component, first_sentence, renamed
from meta_tf.run.settings import AtLeast, Device, Training
from meta_tf.tasks.size_range import SizeRange


@dataclasses.dataclass(frozen=True)
class TrainingSizes:
    """The sizes of training tasks, if they differ.

    Args:
      train_ways: the number of classes in a training task; `ways` if unset.
      train_shots: the number of support examples in a training task; `shots` if unset.
    """

    train_ways: Annotated[SizeRange, AtLeast(2)] | None = None
    train_shots: Annotated[SizeRange, AtLeast(1)] | None = None


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
    """A task source, model or algorithm, and its arguments by name.

    Args:
      component: what it is.
      given: the arguments from flags and presets.
      set: the arguments from `--set`, which override them.
    """

    component: Component
    given: Mapping[str, Any]
    set: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.component.name

    def value(self, argument: str) -> Any:
        """The value of an argument, its default included; None if it has none."""
        taken = self.component.takes.get(argument)
        default = None if taken is None or taken.is_required else taken.default
        return {argument: default, **self.given, **self.set}[argument]

    def make(self, **more: Any) -> Any:
        """Creates it; flags override `more`, of which it gets the arguments that it has.

        Raises:
          ValueError: if an argument is missing or invalid; the message names the flag.
        """
        component = self.component
        own = {name: value for name, value in more.items() if name in component.takes}
        arguments = {**own, **self.given, **self.set}
        for argument in component.takes.values():
            if argument.is_required and argument.name not in arguments:
                flag = f"--{component.flag_of(argument.name)}"
                if not component.is_built_in or argument.name in GIVEN[component.kind]:
                    flag = f"--set {component.kind}.{argument.name}=VALUE"
                about = first_sentence(argument.about)
                raise ValueError(
                    f"{flag} is needed for --{component.kind}={self.name}. {about} Received: none."
                )
        with renamed({"kind='regression'": "--kind=regression", **component.in_errors()}):
            return component.make(**arguments)


@dataclasses.dataclass(frozen=True)
class Train:
    """All settings of `meta-tf train`.

    Args:
      training: how the training runs.
      task: the source of the tasks.
      sizes: the sizes of training tasks.
      model: its network.
      algorithm: how it learns a task.
      learner: its other settings.
      ignored: the flags of the dataclasses that have no meaning together with the others.
      set: the arguments without a flag, as given to `--set`.
      command: the words of the command line.
    """

    training: Training
    task: Choice
    sizes: TrainingSizes
    model: Choice
    algorithm: Choice
    learner: Learner
    ignored: frozenset[str] = frozenset()
    set: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """What `meta-tf adapt` learns from and predicts, for every kind of data.

    Args:
      support: a folder with a subfolder of pictures for each class, or a table.
      query: a folder of new pictures, one picture, or a table.
      learner: a .keras file, a run's folder, or a shipped learner; if unset, one that suits the
        support set.
      eval_steps: inner steps; the learner's own if unset.
      save: a .keras file for the adapted model.
      device: where to compute; "auto" is a GPU if there is one.
    """

    support: str | Path
    query: str | Path
    learner: str | Path | None = None
    eval_steps: Annotated[int, AtLeast(0)] | None = None
    save: str | Path | None = None
    device: Device = "auto"


def names_in(settings: Any) -> set[str]:
    """The flags that the settings use: those with a value, and those of the components."""
    if isinstance(settings, Choice):
        return set(settings.component.flags())
    if isinstance(settings, tuple):
        return set().union(*map(names_in, settings))
    if not dataclasses.is_dataclass(settings):
        return set()
    given = {name for name, value in vars(settings).items() if value is not None}
    return given.union(*map(names_in, vars(settings).values()))
