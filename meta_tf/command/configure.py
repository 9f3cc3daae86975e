"""Converts flags to typed settings, and rejects flags that do not fit together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from absl import flags

from meta_tf.command import registry
from meta_tf.command.define import settings_of
from meta_tf.command.flag_types import Range, as_text, literal, takes_ranges
from meta_tf.command.registry import Argument, Component
from meta_tf.command.settings import Choice, Learner, Train, TrainingSizes
from meta_tf.run.settings import Training

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
    _check_preset(values, components["algorithm"])
    assigned = _assigned(values.set, components)
    choices = _choices(values, components, assigned)
    training = training_of(values)
    ignored = {name: "strategy" for name, of in _OF_STRATEGY.items() if of != training.strategy}
    model = components["model"]
    if model.is_built_in and "normalization" not in model.takes:
        ignored["batch_norm"] = "model"
    takes = components["task"].takes
    for name in registry.arguments_of(TrainingSizes):
        # Of training tasks, or of all tasks.
        if argument := takes.get(name) or takes.get(name.removeprefix("train_")):
            _check_size(values, name, argument)
        else:
            ignored[name] = "task"
    for name, kind in ignored.items():
        _check_absent(values, name, kind)
    return Train(
        training=training,
        task=choices["task"],
        sizes=settings_of(TrainingSizes, values, ignored),
        model=choices["model"],
        algorithm=choices["algorithm"],
        learner=settings_of(Learner, values, ignored),
        ignored=frozenset(ignored),
        set=tuple(f"{kind}.{argument}={text}" for (kind, argument), text in assigned.items()),
    )


def training_of(values: flags.FlagValues) -> Training:
    """The settings of a run, in a folder named after its preset or its task by default."""
    training = settings_of(Training, values)
    if values["workdir"].using_default_value:
        name = values.preset or str(values["task"].value).split(":")[-1]
        training = dataclasses.replace(training, workdir=f"runs/{name}")
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


def task_of(values: flags.FlagValues) -> Choice:
    """The tasks of `meta-tf evaluate`; raises ValueError as `train_of` does."""
    components = _components(values)
    return _choices(values, components, _assigned(values.set, components))["task"]


def _components(values: flags.FlagValues) -> dict[str, Component]:
    kinds = [kind for kind in registry.BUILT_IN if kind in values]
    return {kind: registry.find(kind, values[kind].value) for kind in kinds}


def _choices(
    values: flags.FlagValues,
    components: Mapping[str, Component],
    assigned: Mapping[tuple[str, str], str],
) -> dict[str, Choice]:
    """The components with their arguments; `assigned` are those of `_assigned`."""
    found = {}
    for kind, component in components.items():
        own, given = component.flags(), {}
        for flag in registry.component_flags(kind):
            if flag not in own:
                _check_absent(values, flag, kind)
            elif not values[flag].using_default_value:
                _check_size(values, flag, own[flag])
                given[own[flag].name] = values[flag].value
        if component.name == "table" and "time" in given:
            given.setdefault("support", "first")
        of_kind = {name: literal(text) for (k, name), text in assigned.items() if k == kind}
        found[kind] = Choice(component, given, of_kind)
    return found


def _check_size(values: flags.FlagValues, name: str, argument: Argument) -> None:
    """Raises ValueError for a range where the task takes one number."""
    if not isinstance(values[name].value, Range) or argument.annotation is None:
        return
    if not takes_ranges(argument.annotation):
        raise ValueError(
            f"--{name} must be one number for --task={values.task}. Received: "
            f"--{name}={values[name].value}. Ranges are for --task=omniglot and images."
        )


def _check_absent(values: flags.FlagValues, name: str, kind: str) -> None:
    """Raises ValueError if a flag without a meaning is on the command line."""
    if values[name].present:
        raise ValueError(
            f"--{name} has no meaning for --{kind}={values[kind].value}. Received: "
            f"--{name}={as_text(values[name].value)}. Leave it out."
        )


def _check_preset(values: flags.FlagValues, algorithm: Component) -> None:
    """Raises ValueError if the algorithm does not fit the preset."""
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
) -> dict[tuple[str, str], str]:
    """The texts of arguments from `--set`, by the kind of their component and their name.

    Args:
      texts: `kind.name=value`, or `name=value` for those from outside.
      components: the task, model and algorithm.

    Raises:
      ValueError: if none, or several, of them have this argument.
    """
    found = {}
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
        found[takers[0], argument] = value
    return found
