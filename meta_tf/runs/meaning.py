"""Which flags have a meaning together; the others are refused, or left out if a preset has them."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterable

from meta_tf.runs import outside
from meta_tf.runs.algorithm_flags import (
    BUILT_IN,
    OF_ITS_OWN,
    algorithm_flags,
    fields_of_algorithm,
    flag_name,
    needs_classes,
)
from meta_tf.runs.flags import IMAGES
from meta_tf.runs.kinds import Range, as_text

# What the flags of tasks and models are for; those that are not listed are for all.
TASKS: dict[str, tuple[str, ...]] = {
    "ways": IMAGES,
    "train_ways": IMAGES,
    "split": ("omniglot",),
    "rotations": IMAGES,
    "image_size": IMAGES,
    "channels": ("images",),
    "data_dir": IMAGES,
    "download": ("omniglot",),
    "mirror": ("omniglot",),
    "data": ("table",),
    "target": ("table",),
    "group": ("table",),
    "features": ("table",),
    "time": ("table",),
    "groups_file": ("table",),
}
MODELS: dict[str, tuple[str, ...]] = {
    "hidden": ("mlp",),
    "filters": ("conv4",),
    "downsample": ("conv4",),
    "head": ("conv4",),
    "batch_norm": ("conv4",),
}

STRATEGIES: dict[str, tuple[str, ...]] = {
    "logical_devices": ("mirrored",),
    "worker_timeout": ("multi_worker",),
}


def check_meaning(flags: argparse.Namespace) -> None:
    """Raises ValueError if a flag that was given by hand has no meaning for the others.

    Of the rest, a preset's or a file's, those without a meaning become None, and their names
    `flags.without_meaning`.
    """
    flags.without_meaning = set()
    if "algorithm" in flags:
        _check_algorithm(flags)
    if "strategy" in flags:
        _check_steps(flags)
    for what, without in _without_meaning(flags).items():
        for name in without:
            if name in flags.by_hand:
                raise ValueError(
                    f"--{name} has no meaning for --{what}={getattr(flags, what)}. Received: "
                    f"--{name}={as_text(getattr(flags, name))}. Leave it out."
                )
            setattr(flags, name, None)
            flags.given.discard(name)
            flags.without_meaning.add(name)
    _check_ranges(flags)


def _without_meaning(flags: argparse.Namespace) -> dict[str, list[str]]:
    """The flags that have no meaning for the task, the model and the algorithm, by these."""
    found = {"task": _unlike(flags.task, TASKS, _of_outside_task)}
    if "strategy" in flags:
        found["strategy"] = _unlike(flags.strategy, STRATEGIES, lambda _: set())
    if "model" in flags:
        found["model"] = _unlike(flags.model, MODELS, lambda _: {"batch_norm"})
        own = _flags_of(flags.algorithm)
        found["algorithm"] = [f.name for f in algorithm_flags() if f.name not in own]
    return {what: [name for name in names if name in flags] for what, names in found.items()}


def _unlike(
    chosen: str, table: dict[str, tuple[str, ...]], of_outside: Callable[[str], set[str]]
) -> list[str]:
    """The flags of a table that have no meaning for what is chosen."""
    if outside.is_outside(chosen):
        own = of_outside(chosen)
        return [name for name in table if name not in own]
    return [name for name, meant in table.items() if chosen not in meant]


def _of_outside_task(task: str) -> set[str]:
    takes = set(inspect.signature(outside.load("task", task)).parameters)
    return takes | {f"train_{name}" for name in takes}


def _flags_of(algorithm: str) -> set[str]:
    """The flags of an algorithm."""
    names: Iterable[str]
    if outside.is_outside(algorithm):
        names = outside.load("algorithm", algorithm).__dataclass_fields__
    else:
        names = (field.name for field in fields_of_algorithm(algorithm))
    return {flag_name(name) for name in names}


def _check_ranges(flags: argparse.Namespace) -> None:
    """Raises ValueError if the tasks cannot differ in size; a source from outside says itself."""
    if flags.task in IMAGES or outside.is_outside(flags.task):
        return
    for name, value in vars(flags).items():
        if isinstance(value, Range):
            raise ValueError(
                f"--{name} must be one number for --task={flags.task}. Received: --{name}={value}. "
                f"Ranges are for --task={', '.join(IMAGES)}."
            )


def _check_steps(flags: argparse.Namespace) -> None:
    """Raises ValueError if several replicas are to make several steps in a call."""
    if flags.strategy == "none" or flags.steps_per_execution == 1:
        return
    if "steps_per_execution" in flags.by_hand:
        raise ValueError(
            f"--steps_per_execution must be 1 with --strategy={flags.strategy}. Received: "
            f"--steps_per_execution={flags.steps_per_execution}. TensorFlow cannot run a step over "
            "several replicas within its loop over steps: it misses the value of a placeholder of "
            "that loop. Leave it out."
        )
    flags.steps_per_execution = 1  # a preset's, which changes nothing in what is learned


def _check_algorithm(flags: argparse.Namespace) -> None:
    """Raises ValueError if the algorithm cannot do the task, or the preset is not made for it."""
    name = flags.algorithm
    if name in BUILT_IN and needs_classes(name) and flags.task in ("sinusoid", "hidden_teacher"):
        raise ValueError(
            f"--algorithm={name} needs classes. Received: --task={flags.task}. Take one of "
            f"--task={', '.join(IMAGES)}."
        )
    needed = sorted({"inner_lr", "inner_steps"} - flags.by_hand)
    unlike = flags.preset and not flags.preset.endswith(f"_{name}")
    if name in OF_ITS_OWN and unlike and needed:
        raise ValueError(
            f"--algorithm={name} needs --{' and --'.join(needed)}: those of the preset "
            f"{flags.preset} are meant for another algorithm, whose inner loop is unlike its own. "
            "Give them, and --meta_lr."
        )
