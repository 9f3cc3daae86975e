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
from meta_tf.command.flag_types import NONE, OrNone, Range, as_text, literal, parser_for
from meta_tf.command.flag_types import Sizes as SizesParser
from meta_tf.command.registry import Argument, Part
from meta_tf.command.settings import Choice, Learner, Sizes, Tasks, Train, TrainingSizes
from meta_tf.run.made_with import MadeWith
from meta_tf.run.settings import Training

# What can change when a run is resumed, because it has no effect on what is learned.
_FREE = {"data_dir", "download", "mirror", "cache_dir", "workdir", "device", "iterations"}
_FREE |= {"eval_tasks", "eval_steps", "checkpoint_every", "keep_checkpoints"}
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
    parts = _parts(values)
    _check_algorithm(values, parts)
    choices = _choices(values, parts)
    learner = settings_of(Learner, values)
    if not _normalizes(parts["model"]):
        _check_absent(values, "batch_norm", "model")
        learner = dataclasses.replace(learner, batch_norm=Learner().batch_norm)
    training = settings_of(Training, values)
    if not values["workdir"].present and training.workdir == Training().workdir:
        name = values.preset or choices["task"].name.split(":")[-1]
        training = dataclasses.replace(training, workdir=f"runs/{name}")
    return Train(
        training=_with_strategy(values, training),
        tasks=_tasks(values, choices["task"]),
        model=choices["model"],
        algorithm=choices["algorithm"],
        learner=learner,
        set=tuple(values.set),
    )


def tasks_of(values: flags.FlagValues) -> Tasks:
    """The tasks of `meta-tf evaluate`; raises ValueError as `train_of` does."""
    return _tasks(values, _choices(values, _parts(values))["task"])


def made_with(train: Train, algorithm: meta_tf.Algorithm) -> MadeWith:
    """All settings of a run that have a meaning; those of the algorithm as built."""
    groups: list[Any] = [train.training, train.tasks.sizes, train.tasks.training, train.learner]
    settings = {
        name: _texts(value, argument)
        for group in groups
        for name, argument in registry.arguments_of(type(group)).items()  # type: ignore[arg-type]
        for value in [getattr(group, name)]
        if name not in _NOT_KEPT and _has_meaning(name, train)
    }
    for what, choice in (("task", train.tasks.source), ("model", train.model)):
        settings[what] = (choice.name, "")
        for flag, argument in choice.part.flags().items():
            if flag in registry.flags_of(what):
                value = choice.given.get(argument.name, argument.default)
                settings[flag] = _texts(value, argument)
    settings["algorithm"] = (train.algorithm.name, "")
    fields = {field.name: field.default for field in dataclasses.fields(algorithm)}
    for flag, argument in train.algorithm.part.flags().items():
        if flag in registry.flags_of("algorithm"):
            values = getattr(algorithm, argument.name), fields[argument.name]
            settings[flag] = (as_text(values[0]), as_text(values[1]))
    free = set(_FREE)
    if train.training.meta_schedule != "constant":  # the schedule ends with the last iteration
        free.remove("iterations")
    if train.tasks.source.name not in ("omniglot", "sinusoid", "hidden_teacher"):  # other data
        free.remove("data_dir")
    learned = algorithm.with_rate(1.0) is None
    return MadeWith(settings, frozenset(free), train.set, learned)


def _parts(values: flags.FlagValues) -> dict[str, Part]:
    whats = [what for what in registry.BUILT_IN if what in values]
    return {what: registry.find(what, values[what].value) for what in whats}


def _choices(values: flags.FlagValues, parts: Mapping[str, Part]) -> dict[str, Choice]:
    """The parts with their arguments."""
    assigned = _assigned(values.set, parts)
    found = {}
    for what, part in parts.items():
        own, given = part.flags(), {}
        for flag in registry.flags_of(what):
            if flag not in own:
                _check_absent(values, flag, what)
            elif values[flag].value is not None:
                given[own[flag].name] = value_of(values, flag)
        if part.name == "table" and "time" in given:
            given.setdefault("support", "first")
        found[what] = Choice(part, given, assigned[what])
    return found


def _tasks(values: flags.FlagValues, source: Choice) -> Tasks:
    groups = [kind for kind in (Sizes, TrainingSizes) if set(_names(kind)) <= set(values)]
    without: set[str] = set()
    for name in (name for kind in groups for name in _names(kind)):
        argument = _size_argument(source.part, name)
        if argument is None:
            _check_absent(values, name, "task")
            without.add(name)
        elif isinstance(values[name].value, Range) and not _takes_ranges(argument):
            raise ValueError(
                f"--{name} must be one number for --task={source.name}. Received: "
                f"--{name}={values[name].value}. Ranges are for --task=omniglot and images."
            )
    return Tasks(source, *(settings_of(kind, values, without) for kind in groups))


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _size_argument(part: Part, name: str) -> Argument | None:
    """The argument of a task source for a size, or for the size of training tasks."""
    return part.takes.get(name) or part.takes.get(name.removeprefix("train_"))


def _takes_ranges(argument: Argument) -> bool:
    parser = parser_for(argument.annotation)
    inner = parser.inner if isinstance(parser, OrNone) else parser
    return argument.annotation is None or isinstance(inner, SizesParser)


def _normalizes(model: Part) -> bool:
    """Whether a network can have batch normalisation."""
    return not model.is_built_in or "normalization" in model.takes


def _has_meaning(name: str, train: Train) -> bool:
    if name in _OF_STRATEGY:
        return train.training.strategy == _OF_STRATEGY[name]
    if name == "batch_norm":
        return _normalizes(train.model.part)
    is_size = name in (*_names(Sizes), *_names(TrainingSizes))
    return not is_size or _size_argument(train.tasks.source.part, name) is not None


def _texts(value: Any, argument: Argument) -> tuple[str, str]:
    """The text of a value and of the argument's default, `none` if text cannot express it."""
    parser, default, text = parser_for(argument.annotation), argument.default, NONE
    if parser and default is not inspect.Parameter.empty:
        with contextlib.suppress(ValueError):
            if parser.parse(as_text(default)) == default:
                text = as_text(default)
    return (text if value is default else as_text(value)), text


def _check_absent(values: flags.FlagValues, name: str, what: str) -> None:
    """Raises ValueError if a flag without a meaning is on the command line."""
    if values[name].present:
        raise ValueError(
            f"--{name} has no meaning for --{what}={values[what].value}. Received: "
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


def _check_algorithm(values: flags.FlagValues, parts: Mapping[str, Part]) -> None:
    """Raises ValueError if the algorithm does not fit the task or the preset."""
    algorithm, task = parts["algorithm"], parts["task"]
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


def _assigned(texts: Sequence[str], parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """The arguments from `--set`, for each part.

    Args:
      texts: `what.name=value`, or `name=value` for parts from outside.
      parts: the task, model and algorithm.

    Raises:
      ValueError: if no part, or several parts, have this argument.
    """
    found: dict[str, dict[str, Any]] = {what: {} for what in parts}
    for text in texts:
        name, equals, value = text.partition("=")
        what, dot, argument = name.rpartition(".")
        if not equals or (dot and what not in parts):
            forms = ", ".join(f"{what}.name=value" for what in parts)
            raise ValueError(
                f"--set must be name=value, or one of {forms}. Received: --set={text}."
            )
        takers = [what] if dot else [w for w, part in parts.items() if not part.is_built_in]
        takers = [what for what in takers if argument in parts[what].takes]
        if len(takers) > 1:
            raise ValueError(
                f"--set must be {' or '.join(f'{what}.{argument}=VALUE' for what in takers)}, "
                f"because both have an argument {argument!r}. Received: --set={text}."
            )
        if not takers:
            known = "; ".join(
                f"--{what}={part.name} takes {', '.join(sorted(part.takes))}"
                for what, part in parts.items()
            )
            raise ValueError(f"--set must name an argument. Received: --set={text}, but {known}.")
        found[takers[0]][argument] = literal(value)
    return found
