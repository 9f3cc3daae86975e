"""Builds tasks, model, algorithm, optimiser and learner from the settings."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

import meta_tf
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.command.flag_types import largest
from meta_tf.command.learners import loading_error
from meta_tf.command.registry import has_inner_loop, needs_classes, renamed
from meta_tf.command.settings import Choice, Train, TrainingSizes
from meta_tf.evaluation.evaluate import AT_ONCE
from meta_tf.evaluation.metrics import TaskInterval, TaskMean
from meta_tf.learner.check_steps import check_steps
from meta_tf.run.settings import Training


def build_tasks(
    task: Choice,
    sizes: TrainingSizes | None = None,
    learner: meta_tf.MetaLearner | None = None,
) -> meta_tf.tasks.Source:
    """The source of the tasks, whose training tasks can have other sizes.

    `learner`: a trained one, which decides what the flags leave open.
    """
    takes = task.component.takes
    more: dict[str, Any] = {}
    if learner is not None and task.component.is_built_in:
        more = _known_to(learner)
    # A source whose own default is None chooses the number itself.
    if "shots" in takes and "queries" in takes and takes["queries"].default is not None:
        more["queries"] = largest(task.value("shots"))
    own = {name: size for name, size in vars(sizes or TrainingSizes()).items() if size}
    source = _source(task, **more, **own)
    if own and not own.keys() & takes.keys():  # another source gives the training tasks
        own = {name.removeprefix("train_"): size for name, size in own.items()}
        task = dataclasses.replace(task, given={**task.given, **own})
        source.train = _source(task, **more).train
    return source


def _known_to(learner: meta_tf.MetaLearner) -> dict[str, Any]:
    """The arguments of tables and pictures that a learner needs."""
    if learner.columns is not None:
        return {"columns": learner.columns}
    if (takes := learner.pictures) is None:
        return {}
    height, width = takes.size
    size = height if height == width else takes.size
    return {
        "size": size,
        "channels": takes.channels,
        "scale": takes.white == 1,
        "crop": takes.crop,
    }


def _source(task: Choice, **more: Any) -> meta_tf.tasks.Source:
    source = task.make(**more)
    if not isinstance(source, meta_tf.tasks.Source):
        raise ValueError(
            "--task must name something that returns a meta_tf.tasks.Source. Received: "
            f"{task.name}, which returns {type(source).__name__}."
        )
    return source


def ways_of(train: Train, tasks: meta_tf.tasks.Source | None) -> int | None:
    """The largest number of classes in a task, in training and afterwards.

    Args:
      train: the settings.
      tasks: the source of the tasks; if None, the number follows from the flag `ways`.

    Returns:
      The number; None for a regression.
    """
    own = train.task.value("ways") if tasks is None else tasks.ways
    return max(largest(own), largest(train.sizes.train_ways)) or None


def to_evaluate(tasks: meta_tf.tasks.Source, number: int) -> tuple[Any, int]:
    """The tasks to evaluate a learner on, and their number.

    Groups are evaluated whole: once if the support set is not random, otherwise so often that there
    are at least `number` tasks.
    """
    split = tasks.test
    if not isinstance(split, meta_tf.tasks.GroupSplit):
        return split, number
    draws = 1 if split.first else -(-number // len(split.groups))
    whole = split.whole_groups(draws)
    return whole, len(whole)


def check_evaluation(
    train: Train, learner: meta_tf.MetaLearner, tasks: meta_tf.tasks.Source
) -> None:
    """Raises ValueError, before the training, if the evaluation would take too much memory."""
    at_once = min(AT_ONCE, train.training.eval_tasks)
    query_x = tf.nest.map_structure(
        lambda spec: tf.TensorSpec([at_once, *spec.shape], spec.dtype),
        tasks.test.task_spec[0]["query_x"],
    )
    steps = learner.algorithm.steps_to_evaluate()
    with renamed({"`steps`": "--eval_steps"}):
        check_steps(learner.algorithm, learner.network, query_x, steps)


def build_model(train: Train, tasks: meta_tf.tasks.Source) -> keras.Model:
    """The network, with inputs and outputs for the tasks and the algorithm."""
    name = train.model.name
    outputs = ways_of(train, tasks) or math.prod(tasks.target_shape)
    if _embeds(train.algorithm):
        outputs = None
    if name == "conv4" and len(tasks.input_shape) != 3:
        raise ValueError(f"--model=conv4 needs images. Received: --task={train.task.name}.")
    shape = tasks.input_shape if tasks.columns is None else (tasks.columns.width,)
    given = {"inputs": shape, "input_shape": shape}
    names = {"`input_shape`": "--image_size", "downsample='": "--downsample='"}
    with renamed(names if train.model.component.is_built_in else {}):
        model = train.model.make(**given, outputs=outputs, ways=outputs)
    if not (isinstance(model, keras.Model) and model.built):
        raise ValueError(
            "--model must name something that returns a built keras.Model. Received: "
            f"{name}, which returns {type(model).__name__}. A model that begins with keras.Input "
            "is built."
        )
    return model


def build_algorithm(train: Train, tasks: meta_tf.tasks.Source | None = None) -> meta_tf.Algorithm:
    """The algorithm, for the number of classes that `ways_of` returns.

    Raises:
      ValueError: if an argument is invalid, or it can only classify and the targets are numbers.
    """
    ways = ways_of(train, tasks)
    if tasks and ways is None and needs_classes(train.algorithm.component):
        given = f"--task={train.task.name}"
        if tasks.columns:
            given += f" and --target={tasks.columns.target}"
        raise ValueError(
            f"--algorithm={train.algorithm.name} needs classes. Received: {given}, which holds "
            "numbers. Use another algorithm, or tasks of classes: --task=omniglot, --task=images, "
            "or a table with --kind=classification."
        )
    return train.algorithm.make(**({} if ways is None else {"ways": ways}))


def outer_rate(training: Training) -> Any:
    """The step size of the outer optimiser: a number or a schedule."""
    rate, steps = training.meta_lr, training.iterations
    if training.meta_schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)
    if training.meta_schedule == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    return rate


def build_learner(
    train: Train, tasks: meta_tf.tasks.Source, algorithm: meta_tf.Algorithm
) -> meta_tf.MetaLearner:
    """The compiled learner."""
    classify = tasks.kind == "classification"
    gaussian = algorithm.predicts_gaussians()
    if classify and gaussian:
        raise ValueError(
            f"--algorithm={train.algorithm.name} predicts numbers. Received: tasks of classes, "
            f"--task={train.task.name}. Use another algorithm, such as protonet."
        )
    loss: Any = meta_tf.GaussianLoss() if gaussian else "mse"
    if classify:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = build_model(train, tasks)
    batch_norm = train.learner.batch_norm
    with renamed(train.algorithm.component.in_errors()):
        learner = meta_tf.MetaLearner(model, algorithm, loss=loss, batch_norm=batch_norm)
    if train.task.name == "omniglot" and learner.pictures:  # its ink is 1 on a ground of 0
        learner.pictures = dataclasses.replace(learner.pictures, invert="light")
    if train.task.name == "images" and train.task.value("crop") and learner.pictures:
        learner.pictures = dataclasses.replace(learner.pictures, crop=True)
    # In a regression, the loss already is the mean squared error.
    metrics: list[Any] = [TaskInterval("mse")]
    if classify:
        metrics = ["accuracy", TaskInterval("accuracy")]
    elif gaussian or _are_in_units(tasks):  # the loss is another, or in standard units
        metrics.insert(0, TaskMean("mse"))
    if gaussian:
        metrics += [TaskMean("log_likelihood"), TaskMean("coverage_90")]
    if _are_in_units(tasks):
        learner.standardize(tasks.train)
    training = train.training
    kind = keras.optimizers.SGD if train.algorithm.name == "reptile" else keras.optimizers.Adam
    optimizer = kind(outer_rate(training), global_clipnorm=training.clip_norm)
    learner.compile(optimizer, metrics=metrics)
    if not train.model.component.is_built_in:
        _check_loads(model, train.model.name)
    return learner


def _are_in_units(tasks: meta_tf.tasks.Source) -> bool:
    """Whether the examples are measurements in any units, like those of a table."""
    spec = tasks.train.task_spec[0]["query_x"]
    return isinstance(tasks.train, meta_tf.tasks.GroupSplit) and spec.dtype.is_floating


def _embeds(algorithm: Choice) -> bool:
    """Whether the algorithm predicts from embeddings, so that the model has no last layer."""
    takes, maker = algorithm.component.takes, algorithm.component.make
    is_one = isinstance(maker, type) and issubclass(maker, EmbeddingLearner)
    return is_one or ("ways" in takes and not has_inner_loop(algorithm.component))


def _check_loads(model: keras.Model, name: str) -> None:
    """Raises ValueError if Keras could not load the model again."""
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"--model must be a model that Keras can save and load. Received: {name}. Decorate its "
            'custom layers with @keras.saving.register_keras_serializable("my"), and let '
            f"get_config return their arguments. Keras reports: {loading_error(error)}"
        ) from error
