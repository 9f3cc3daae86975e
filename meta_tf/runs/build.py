"""What the flags stand for: tasks, model, algorithm, optimiser and learner."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras

import meta_tf
from meta_tf.evaluation.metrics import TaskInterval
from meta_tf.network.standardized import standardizes
from meta_tf.runs import outside
from meta_tf.runs.algorithm_flags import (
    BUILT_IN,
    algorithm_flags,
    field_name,
    flag_name,
    needs_classes,
)
from meta_tf.runs.flags import IMAGES
from meta_tf.runs.kinds import largest

TASKS: dict[str, Callable[..., meta_tf.tasks.Source]] = {
    "sinusoid": meta_tf.tasks.Sinusoid,
    "hidden_teacher": meta_tf.tasks.HiddenTeacher,
    "omniglot": meta_tf.tasks.Omniglot,
    "images": meta_tf.tasks.ImageFolder,
    "table": meta_tf.tasks.from_table,
}
MODELS: dict[str, Callable[..., keras.Model]] = {
    "mlp": meta_tf.models.mlp,
    "conv4": meta_tf.models.conv4,
}


def makers(flags: argparse.Namespace) -> dict[str, Callable[..., Any]]:
    """The functions or classes behind `--task`, `--model` and `--algorithm`, as far as there."""
    algorithms = {name: getattr(meta_tf, known.maker) for name, known in BUILT_IN.items()}
    found = {}
    for what, table in (("task", TASKS), ("model", MODELS), ("algorithm", algorithms)):
        if what in flags:
            name = getattr(flags, what)
            own = outside.is_outside(name)
            found[what] = outside.load(what, name) if own else table[name]
    return found


def build_tasks(flags: argparse.Namespace, training: bool = False) -> meta_tf.tasks.Source:
    """The source of the tasks; with `training` of those that the learner is trained on.

    The sources of images have training tasks of a size of their own, and are built once.
    """
    ways, shots = flags.ways, flags.shots
    if training:
        ways, shots = flags.train_ways or ways, flags.train_shots or shots
    given = {"ways": ways, "shots": shots, "queries": flags.queries or largest(flags.shots)}
    if flags.task in IMAGES:
        given |= _of_images(flags)
    elif flags.task == "table":
        return _of_table(flags, shots)
    elif flags.data_dir is not None:
        given["data_dir"] = flags.data_dir
    tasks = _made(flags, "task", given)
    if not isinstance(tasks, meta_tf.tasks.Source):
        raise ValueError(
            f"--task must name what returns a meta_tf.tasks.Source. Received: {flags.task}, which "
            f"returns {type(tasks).__name__}."
        )
    return tasks


def _of_images(flags: argparse.Namespace) -> dict[str, Any]:
    """The arguments of the two sources of images."""
    if not flags.data_dir:
        raise ValueError(f"--data_dir is needed for --task={flags.task}: the folder of the images.")
    given = {
        "rotations": None if flags.rotations == "none" else flags.rotations,
        "size": flags.image_size,
        "train_ways": getattr(flags, "train_ways", None),
        "train_shots": getattr(flags, "train_shots", None),
    }
    if flags.task == "images":
        own = {"path": flags.data_dir, "channels": flags.channels, "queries": flags.queries}
        return {**given, **own}
    return {
        **given,
        "data_dir": flags.data_dir,
        "split": flags.split,
        "download": flags.download,
        "mirror": flags.mirror,
    }


def _of_table(flags: argparse.Namespace, shots: int) -> meta_tf.tasks.Source:
    """The source of a table; what is wrong with it is told by the flags' names."""
    for name in ("data", "target", "group"):
        if getattr(flags, name) is None:
            raise ValueError(f"--{name} is needed for --task=table. Received: none.")
    given = {name: getattr(flags, name) for name in ("data", "target", "group", "time", "queries")}
    # Not --seed: another one must not move groups from the training into the test.
    given |= {"shots": shots, "features": flags.features or None}
    given["support"] = "first" if flags.time else "random"
    if flags.groups_file:
        given["split"] = flags.groups_file
    try:
        return _made(flags, "task", given)
    except ValueError as error:
        message = str(error).replace("`split` must be a JSON", "--groups_file must be a JSON")
        message = message.replace("kind='regression'", "--set task.kind=regression")
        raise ValueError(_by_flags(message, given)) from error


def ways_of(flags: argparse.Namespace, table: meta_tf.tasks.Source | None) -> int | None:
    """The classes that the learner has to tell apart, at most: by flags, or those of a `table`."""
    if table is None:
        return max(largest(flags.ways), largest(flags.train_ways)) or None
    ways = table.ways
    if ways is None and flags.algorithm in BUILT_IN and needs_classes(flags.algorithm):
        raise ValueError(
            f"--algorithm={flags.algorithm} needs classes. Received: --target={flags.target}, "
            "which holds numbers. Take another algorithm, or --set task.kind=classification."
        )
    return ways


def to_evaluate(flags: argparse.Namespace, tasks: meta_tf.tasks.Source) -> tuple[Any, int]:
    """What a learner is evaluated on, and how many tasks of it.

    For groups these are all examples of each: so many draws that `--eval_tasks` is reached, or
    one where the support set is not drawn.
    """
    part = tasks.test
    if not isinstance(part, meta_tf.tasks.GroupPart):
        return part, flags.eval_tasks
    draws = 1 if part.first else -(-flags.eval_tasks // len(part.groups))
    whole = part.whole_groups(draws)
    return whole, len(whole)


def build_model(
    flags: argparse.Namespace, tasks: meta_tf.tasks.Source, ways: int | None, embeds: bool
) -> keras.Model:
    """The network, of the inputs and outputs that the tasks and the algorithm ask for."""
    outputs = None if embeds else ways or math.prod(tasks.target_shape)
    if outside.is_outside(flags.model):
        given = {"input_shape": tasks.input_shape, "outputs": outputs, "ways": outputs}
    elif flags.model == "mlp":
        hidden = [int(width) for width in flags.hidden]
        given = {"inputs": tasks.input_shape, "outputs": outputs, "hidden": hidden}
    else:
        if len(tasks.input_shape) != 3:
            raise ValueError(f"--model=conv4 needs images. Received: --task={flags.task}.")
        given = {"ways": outputs, "input_shape": tasks.input_shape, "filters": flags.filters}
        given |= {"downsample": flags.downsample, "head": flags.head}
    try:
        model = _made(flags, "model", given)
    except ValueError as error:
        if outside.is_outside(flags.model):
            raise
        message = str(error).replace("`input_shape`", "--image_size")
        raise ValueError(message.replace("downsample='", "--downsample='")) from error
    if not (isinstance(model, keras.Model) and model.built):
        raise ValueError(
            f"--model must name what returns a built keras.Model. Received: {flags.model}, which "
            f"returns {type(model).__name__}. A model that begins with keras.Input is built."
        )
    return model


def build_algorithm(flags: argparse.Namespace, ways: int | None) -> meta_tf.Algorithm:
    """The algorithm with its settings; `ways` for one that has to know the number of classes."""
    names = [flag.name for flag in algorithm_flags()]
    settings = {field_name(n): getattr(flags, n) for n in names if n in flags.given}
    if ways is not None:
        settings["ways"] = ways
    try:
        return _made(flags, "algorithm", settings)
    except ValueError as error:
        raise ValueError(_by_flags(str(error), settings)) from error


def embeds(flags: argparse.Namespace) -> bool:
    """Whether the algorithm classifies by itself: the model then has no last layer for it."""
    fields = outside.arguments_of(makers(flags)["algorithm"])
    return "ways" in fields and "inner_steps" not in fields


def build_optimizer(flags: argparse.Namespace) -> keras.optimizers.Optimizer:
    """The outer optimiser."""
    rate, clip = outer_rate(flags), clip_norm(flags)
    optimizer = keras.optimizers.SGD if flags.algorithm == "reptile" else keras.optimizers.Adam
    return optimizer(rate, global_clipnorm=clip)


def outer_rate(flags: argparse.Namespace) -> Any:
    """The rate of the outer optimiser: a number or a schedule."""
    rate = flags.meta_lr
    if not 0 < rate < math.inf:
        raise ValueError(f"--meta_lr must be a number above 0. Received: --meta_lr={rate}.")
    if flags.meta_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, flags.iterations, alpha=0.01)
    if flags.meta_schedule == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, flags.iterations, 0.0)
    return rate


def clip_norm(flags: argparse.Namespace) -> float | None:
    """The largest norm of the meta-gradient, if there is one."""
    clip = flags.clip_norm
    if clip is not None and not 0 < clip < math.inf:
        raise ValueError(f"--clip_norm must be a number above 0. Received: --clip_norm={clip}.")
    return clip


def build_learner(
    flags: argparse.Namespace,
    tasks: meta_tf.tasks.Source,
    ways: int | None,
    algorithm: meta_tf.Algorithm,
) -> meta_tf.MetaLearner:
    """The learner, compiled; `ways` is the number of classes that it has to tell apart."""
    classify = tasks.kind == "classification"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classify else "mse"
    model = build_model(flags, tasks, ways, embeds(flags))
    batch_norm = flags.batch_norm or "transductive"
    try:
        learner = meta_tf.MetaLearner(model, algorithm, loss=loss, batch_norm=batch_norm)
    except ValueError as error:
        raise ValueError(_by_flags(str(error), algorithm.get_config())) from error
    # With a mean loss, the loss of a regression is the mean squared error already.
    metrics = ["accuracy", TaskInterval("accuracy")] if classify else [TaskInterval("mse")]
    if _are_in_units(tasks):
        learner.standardize(tasks.train)
        metrics = metrics if classify else ["mse", *metrics]  # the loss is in standard units
    learner.compile(build_optimizer(flags), metrics=metrics)
    if outside.is_outside(flags.model):
        _check_loads(model, flags.model)
    return learner


def check_units(flags: argparse.Namespace, learner: meta_tf.MetaLearner) -> None:
    """Raises ValueError if a run's learner was trained on a table that was scaled outside of it."""
    if flags.task == "table" and not standardizes(learner.model):
        raise ValueError(
            f"--workdir={flags.workdir} holds a run of an earlier version, which scaled the "
            "table's columns outside of the learner. Begin anew with --restart, or take another "
            "--workdir."
        )


def _are_in_units(tasks: meta_tf.tasks.Source) -> bool:
    """Whether the examples are what has been measured, in any units, as those of a table are."""
    spec = tasks.train.task_spec[0]["query_x"]
    return isinstance(tasks.train, meta_tf.tasks.GroupPart) and spec.dtype.is_floating


def _made(flags: argparse.Namespace, what: str, given: dict[str, Any]) -> Any:
    """Calls what makes a task, model or algorithm with those arguments that it takes."""
    maker = makers(flags)[what]
    takes = outside.arguments_of(maker)
    given = {name: value for name, value in given.items() if name in takes}
    given |= outside.assigned(flags, makers(flags))[what]
    try:
        inspect.signature(maker).bind(**given)
    except TypeError as error:
        raise ValueError(
            f"--{what}={getattr(flags, what)} cannot be called with {', '.join(given) or 'nothing'}"
            f": {error}. Give it by --set {what}.NAME=VALUE."
        ) from error
    return maker(**given)


def _by_flags(message: str, fields: Any) -> str:
    """An error message with the flags' names for the fields'."""
    for field in fields:
        message = message.replace(f"`{field}`", f"--{flag_name(field)}")
    return message


def _check_loads(model: keras.Model, name: str) -> None:
    """Raises ValueError if a model from outside could be saved, but not loaded again."""
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"--model must name what Keras can save and load again. Received: {name}. Decorate "
            'its own layers: @keras.saving.register_keras_serializable("my"), with a get_config '
            f"of their arguments. Keras says: {outside.loading_error(error)}"
        ) from error
