"""Converts flags to typed settings, and rejects flags that do not fit together."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

import meta_tf
from meta_tf.command import registry
from meta_tf.command.define import settings_of, value_of
from meta_tf.command.flag_types import NONE, Range, as_text, literal, parser_for, takes_ranges
from meta_tf.command.registry import Argument, Component
from meta_tf.command.settings import Choice, Learner, Train, TrainingSizes
from meta_tf.run.made_with import MadeWith
from meta_tf.run.settings import Training

# What can change when a run is resumed, because it has no effect on what is learned.
_FREE = {"data_dir", "download", "mirror", "cache_dir", "workdir", "device", "iterations"}
_FREE |= {"eval_tasks", "eval_steps", "checkpoint_every", "keep_checkpoints", "restore_best"}
_FREE |= {"steps_per_execution", "strategy", "logical_devices", "worker_timeout"}
_NOT_KEPT = {"baselines", "calibrate", "profile", "restart", "restart_from"}
_OF_STRATEGY = {"logical_devices": "mirrored", "worker_timeout": "multi_worker"}
# Their inner loops differ too much from the others' to share settings.
_OF_ITS_OWN = ("imaml", "reptile")


def train_of(values: flags.FlagValues) -> Train:
    """The settings of `meta-tf train`.

    Raises:
      ValueError: if a flag on the command line has no meaning together with the others. In a preset
        or a file, such a flag is ignored.
    """
    components = _components(values)
    _check_algorithm(values, components)
    choices = _choices(values, components)
    learner = settings_of(Learner, values)
    if not _normalizes(components["model"]):
        _check_absent(values, "batch_norm", "model")
        learner = dataclasses.replace(learner, batch_norm=Learner().batch_norm)
    return Train(
        training=_with_strategy(values, training_of(values)),
        task=choices["task"],
        sizes=_training_sizes(values, components["task"]),
        model=choices["model"],
        algorithm=choices["algorithm"],
        learner=learner,
        set=tuple(values.set),
    )


def training_of(values: flags.FlagValues) -> Training:
    """The settings of a run, in a folder named after its preset or its task by default."""
    training = settings_of(Training, values)
    if values["workdir"].present or training.workdir != Training().workdir:
        return training
    name = values.preset or str(values["task"].value).split(":")[-1]
    return dataclasses.replace(training, workdir=f"runs/{name}")


def task_of(values: flags.FlagValues) -> Choice:
    """The tasks of `meta-tf evaluate`; raises ValueError as `train_of` does."""
    return _choices(values, _components(values))["task"]


def made_with(train: Train, algorithm: meta_tf.Algorithm) -> MadeWith:
    """All settings of a run that have a meaning; those of the algorithm as built."""
    groups: list[Any] = [train.training, train.sizes, train.learner]
    settings = {
        name: _texts(value, argument)
        for group in groups
        for name, argument in registry.arguments_of(type(group)).items()  # type: ignore[arg-type]
        for value in [getattr(group, name)]
        if name not in _NOT_KEPT and _has_meaning(name, train)
    }
    for choice in (train.task, train.model):
        kind = choice.component.kind
        settings[kind] = (choice.name, "")
        for flag, argument in choice.component.flags().items():
            if flag in registry.flags_of(kind):
                value = choice.given.get(argument.name, argument.default)
                settings[flag] = _texts(value, argument)
    if "queries" in settings and "queries" not in train.task.given:
        settings["queries"] = (NONE, NONE)  # as many as `shots`
    settings["algorithm"] = (train.algorithm.name, "")
    fields = {field.name: field.default for field in dataclasses.fields(algorithm)}
    for flag, argument in train.algorithm.component.flags().items():
        if flag in registry.flags_of("algorithm"):
            values = getattr(algorithm, argument.name), fields[argument.name]
            settings[flag] = (as_text(values[0]), as_text(values[1]))
    free = set(_FREE)
    if train.training.meta_schedule != "constant":  # the schedule ends with the last iteration
        free.remove("iterations")
    if train.task.name not in ("omniglot", "sinusoid", "hidden_teacher"):  # other data
        free.remove("data_dir")
    learned = algorithm.with_rate(1.0) is None
    return MadeWith(settings, frozenset(free), train.set, learned)


def _components(values: flags.FlagValues) -> dict[str, Component]:
    kinds = [kind for kind in registry.BUILT_IN if kind in values]
    return {kind: registry.find(kind, values[kind].value) for kind in kinds}


def _choices(values: flags.FlagValues, components: Mapping[str, Component]) -> dict[str, Choice]:
    """The components with their arguments."""
    assigned = _assigned(values.set, components)
    found = {}
    for kind, component in components.items():
        own, given = component.flags(), {}
        for flag in registry.flags_of(kind):
            if flag not in own:
                _check_absent(values, flag, kind)
            elif values[flag].value is not None:
                _check_size(values, flag, own[flag])
                given[own[flag].name] = value_of(values, flag)
        if component.name == "table" and "time" in given:
            given.setdefault("support", "first")
        found[kind] = Choice(component, given, assigned[kind])
    return found


def _training_sizes(values: flags.FlagValues, task: Component) -> TrainingSizes:
    """The sizes of training tasks; those that have no meaning for the task are None."""
    without = set()
    for field in dataclasses.fields(TrainingSizes):
        argument = _size_argument(task, field.name)
        if argument is None:
            _check_absent(values, field.name, "task")
            without.add(field.name)
        else:
            _check_size(values, field.name, argument)
    return settings_of(TrainingSizes, values, without)


def _size_argument(task: Component, name: str) -> Argument | None:
    """The argument of a task source for the size of training tasks, or of all tasks."""
    return task.takes.get(name) or task.takes.get(name.removeprefix("train_"))


def _check_size(values: flags.FlagValues, name: str, argument: Argument) -> None:
    """Raises ValueError for a range where the task takes one number."""
    if not isinstance(values[name].value, Range) or argument.annotation is None:
        return
    if not takes_ranges(argument.annotation):
        raise ValueError(
            f"--{name} must be one number for --task={values.task}. Received: "
            f"--{name}={values[name].value}. Ranges are for --task=omniglot and images."
        )


def _normalizes(model: Component) -> bool:
    """Whether a network can have batch normalisation."""
    return not model.is_built_in or "normalization" in model.takes


def _has_meaning(name: str, train: Train) -> bool:
    if name in _OF_STRATEGY:
        return train.training.strategy == _OF_STRATEGY[name]
    if name == "batch_norm":
        return _normalizes(train.model.component)
    is_size = name in vars(train.sizes)
    return not is_size or _size_argument(train.task.component, name) is not None


def _texts(value: Any, argument: Argument) -> tuple[str, str]:
    """The text of a value and of the argument's default, `none` if text cannot express it."""
    parser, default, text = parser_for(argument.annotation), argument.default, NONE
    if parser and default is not inspect.Parameter.empty:
        with contextlib.suppress(ValueError):
            if parser.parse(as_text(default)) == default:
                text = as_text(default)
    return (text if value is default else as_text(value)), text


def _check_absent(values: flags.FlagValues, name: str, kind: str) -> None:
    """Raises ValueError if a flag without a meaning is on the command line."""
    if values[name].present:
        raise ValueError(
            f"--{name} has no meaning for --{kind}={values[kind].value}. Received: "
            f"--{name}={as_text(value_of(values, name))}. Leave it out."
        )


def _with_strategy(values: flags.FlagValues, training: Training) -> Training:
    """The settings, adapted to the strategy."""
    for name, strategy in _OF_STRATEGY.items():
        if training.strategy != strategy:
            _check_absent(values, name, "strategy")
    if training.strategy == "none" or training.steps_per_execution == 1:
        return training
    if values["steps_per_execution"].present:
        raise ValueError(
            f"--steps_per_execution must be 1 with --strategy={training.strategy}. Received: "
            f"--steps_per_execution={training.steps_per_execution}. TensorFlow cannot run several "
            "steps in one call with several replicas. Leave it out."
        )
    # From a preset; it has no effect on what is learned.
    return dataclasses.replace(training, steps_per_execution=1)


def _check_algorithm(values: flags.FlagValues, components: Mapping[str, Component]) -> None:
    """Raises ValueError if the algorithm does not fit the task or the preset."""
    algorithm, task = components["algorithm"], components["task"]
    if registry.needs_classes(algorithm) and task.name in ("sinusoid", "hidden_teacher"):
        raise ValueError(
            f"--algorithm={algorithm.name} needs classes. Received: --task={task.name}. Use "
            "--task=omniglot or --task=images."
        )
    needed = sorted(name for name in ("inner_lr", "inner_steps") if not values[name].present)
    unlike = values.preset and not values.preset.endswith(f"_{algorithm.name}")
    if algorithm.name in _OF_ITS_OWN and unlike and needed:
        raise ValueError(
            f"--algorithm={algorithm.name} needs --{' and --'.join(needed)}: those of the preset "
            f"{values.preset} are for an algorithm with another inner loop. Give them, and "
            "--meta_lr."
        )


def _assigned(
    texts: Sequence[str], components: Mapping[str, Component]
) -> dict[str, dict[str, Any]]:
    """The arguments from `--set`, for each component.

    Args:
      texts: `kind.name=value`, or `name=value` for those from outside.
      components: the task, model and algorithm.

    Raises:
      ValueError: if none, or several, of them have this argument.
    """
    found: dict[str, dict[str, Any]] = {kind: {} for kind in components}
    for text in texts:
        name, equals, value = text.partition("=")
        kind, dot, argument = name.rpartition(".")
        if not equals or (dot and kind not in components):
            forms = ", ".join(f"{kind}.name=value" for kind in components)
            raise ValueError(
                f"--set must be name=value, or one of {forms}. Received: --set={text}."
            )
        takers = [kind] if dot else [k for k, c in components.items() if not c.is_built_in]
        takers = [kind for kind in takers if argument in components[kind].takes]
        if len(takers) > 1:
            raise ValueError(
                f"--set must be {' or '.join(f'{kind}.{argument}=VALUE' for kind in takers)}, "
                f"because both have an argument {argument!r}. Received: --set={text}."
            )
        if not takers:
            known = "; ".join(
                f"--{kind}={c.name} takes {', '.join(sorted(c.takes))}"
                for kind, c in components.items()
            )
            raise ValueError(f"--set must name an argument. Received: --set={text}, but {known}.")
        found[takers[0]][argument] = literal(value)
    return found
