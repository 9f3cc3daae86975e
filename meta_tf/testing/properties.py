"""The properties that every algorithm must have with every model; each raises AssertionError.

They expect Keras's float type to be float64: see `meta_tf.testing.trial.double_precision`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.testing.finite_differences import meta_gradient_error
from meta_tf.testing.trial import TASKS, Trial
from meta_tf.types import Examples, Tensors


def adapts_the_same_alone_and_in_a_batch(trial: Trial) -> None:
    """A task's predictions depend neither on the other tasks of a batch nor on their order."""
    learner, (x, _) = trial.learner(), trial.batch()
    # One trace for any number of tasks.
    spec = tf.nest.map_structure(lambda t: tf.TensorSpec([None, *t.shape[1:]], t.dtype), x)
    adapt = tf.function(lambda x: learner(x), autograph=False, input_signature=[spec])
    together = adapt(x)
    why = "A task must adapt the same {} as in a batch: `adapt` and `predict` must be pure."
    order = [2, 0, 1]
    reordered = adapt(tf.nest.map_structure(lambda t: tf.gather(t, order), x))
    agree(reordered, tf.gather(together, order), why.format("at another place of a batch"))
    agree(adapt(task(x, 1))[0], together[1], why.format("alone"))
    fitted = learner.adapt(x["support_x"][1], x["support_y"][1])
    agree(fitted(x["query_x"][1]), together[1], why.format("by `learner.adapt`"))


def adapting_changes_no_variable(trial: Trial) -> None:
    """`adapt` and `predict` do not change the learner."""
    learner, (x, _) = trial.learner(), trial.batch()
    before = numbers(learner)
    learner(x)
    learner.adapt(x["support_x"][0], x["support_y"][0])
    for variable, old in zip(learner.variables, before, strict=True):
        same(
            [variable.numpy()],
            [old],
            f"`adapt` must change no variable. {variable.path} has changed: return new weights.",
        )


def is_made_again_from_its_config(trial: Trial) -> None:
    """`from_config(get_config())` gives an algorithm with the same settings."""
    again = type(trial.algorithm).from_config(trial.algorithm.get_config())
    if again != trial.algorithm:
        raise AssertionError(
            "`from_config(get_config())` must give the same settings: make every setting a field "
            f"of a frozen dataclass. Received: {trial.algorithm!r} before, {again!r} after."
        )


def needs_no_stored_statistics(trial: Trial) -> None:
    """In the batch-norm mode `support`, predictions do not depend on the moving averages."""
    if trial.batch_norm != "support":
        return
    learner, (x, _) = trial.learner(), trial.batch()
    before = learner(x)
    for variable in learner.model.non_trainable_variables:
        if "moving" in variable.name:
            variable.assign(variable + 1.0)
    agree(
        learner(x),
        before,
        "With batch_norm='support', predictions must use the support set's statistics, and not "
        "the moving averages from training: see `Network.support_outputs`.",
    )


def predicts_each_query_alone(trial: Trial) -> None:
    """In the modes `support` and `running`, a prediction does not depend on the other queries."""
    if trial.batch_norm == "transductive":
        return
    learner, (x, _) = trial.learner(), trial.batch()
    one = {**x, "query_x": tf.nest.map_structure(lambda t: t[:, :1], x["query_x"])}
    agree(
        learner(one)[:, 0],
        learner(x)[:, 0],
        f"With batch_norm={trial.batch_norm!r}, a query must be predicted the same alone as among "
        "others.",
    )


def has_exact_meta_gradients(trial: Trial) -> None:
    """The meta-gradient is the slope of `task_loss`, by finite differences.

    First-order algorithms, and those that override `meta_gradients`, are not checked.
    """
    own = type(trial.algorithm).meta_gradients is not Algorithm.meta_gradients
    if own or getattr(trial.algorithm, "first_order", False):
        return
    learner, (x, y) = trial.learner(), trial.batch()
    support = Examples(x["support_x"][0], x["support_y"][0])
    query = Examples(x["query_x"][0], y[0])
    error = meta_gradient_error(
        trial.algorithm, learner.network, learner.weights_now, support, query
    )
    if not error < 1e-7:
        raise AssertionError(
            "The meta-gradient must be that of `task_loss`. Its relative error against finite "
            f"differences is {error:.2g}: look for tf.stop_gradient, NumPy, or a model variable "
            "that is read directly."
        )


def agrees_eagerly_in_a_graph_and_in_xla(trial: Trial) -> None:
    """One training step is the same in eager mode, in a graph and with XLA."""
    (x, y), results = trial.batch(), {}
    for how, options in {
        "graph": {"jit_compile": False},
        "eager": {"run_eagerly": True},
        "xla": {"jit_compile": True},
    }.items():
        learner = trial.learner()
        learner.compile(keras.optimizers.SGD(0.1), **options)
        loss = learner.train_on_batch(x, y)
        results[how] = [loss, *numbers(learner)]
    for how in ("eager", "xla"):
        agree(results[how], results["graph"], f"A step must be the same in {how} as in a graph.")


def goes_on_bit_for_bit_after_saving(trial: Trial) -> None:
    """Three steps equal two steps, saving and loading, and a third step."""

    def fit(learner: Any, start: int, steps: int) -> None:
        learner.fit(trial.batches(start), steps_per_epoch=steps, verbose=0, shuffle=False)

    whole, part = trial.learner(), trial.learner()
    for learner in (whole, part):
        learner.compile("adam", jit_compile=False)
    fit(whole, 0, 3)
    fit(part, 0, 2)
    with tempfile.TemporaryDirectory() as folder:
        part.save(Path(folder) / "learner.keras")
        resumed = keras.models.load_model(Path(folder) / "learner.keras")
    x, _ = trial.batch()
    why = "A saved learner must {} when it is loaded: keep no state outside of `meta_weights`, "
    why += "`moving` and the fields of the dataclass."
    same([resumed.predict_on_batch(x)], [part.predict_on_batch(x)], why.format("predict the same"))
    fit(resumed, 2, 1)
    same(numbers(resumed), numbers(whole), why.format("continue training bit for bit"))
    slots = [[v.numpy() for v in learner.optimizer.variables] for learner in (resumed, whole)]
    same(slots[0], slots[1], why.format("keep its optimiser"))


def counts_every_task_the_same(trial: Trial) -> None:
    """A batch with a task twice equals a batch with it once, unless layers draw random numbers."""
    if any(isinstance(layer, keras.layers.Dropout) for layer in trial.model()._flatten_layers()):
        return
    twice, once = trained_on([0, 0], [0], trial=trial)
    agree(
        twice,
        once,
        "The gradient of a batch must be the mean over its tasks: a task twice equals it once.",
    )


def is_exported_as_it_is(trial: Trial) -> None:
    """The SavedModel predicts the same as the learner."""
    learner, (x, _) = trial.learner(), trial.batch()
    with tempfile.TemporaryDirectory() as folder:
        learner.export(str(Path(folder) / "saved_model"))
        loaded = tf.saved_model.load(str(Path(folder) / "saved_model"))
        learn = loaded.signatures["adapt_and_predict"]
        for t in range(TASKS):
            given = learn(**{name: tensor[t] for name, tensor in x.items()})["predictions"]
            agree(given, learner(task(x, t))[0], "The SavedModel must predict as the learner does.")


# The quick ones first. Those in the second list build several training steps each.
QUICK: tuple[Callable[[Trial], None], ...] = (
    is_made_again_from_its_config,
    adapts_the_same_alone_and_in_a_batch,
    adapting_changes_no_variable,
    needs_no_stored_statistics,
    predicts_each_query_alone,
    has_exact_meta_gradients,
)
THOROUGH: tuple[Callable[[Trial], None], ...] = (
    agrees_eagerly_in_a_graph_and_in_xla,
    goes_on_bit_for_bit_after_saving,
    counts_every_task_the_same,
    is_exported_as_it_is,
)


def task(tensors: Tensors, t: int) -> Tensors:
    """Task t of a batch, as a batch."""
    return tf.nest.map_structure(lambda x: x[t : t + 1], tensors)


def numbers(learner: Any) -> list[np.ndarray]:
    """The values of all variables, in the order of `learner.variables`."""
    return [v.numpy() for v in learner.variables]


def trained_on(*choices: list[int], trial: Trial) -> list[list[np.ndarray]]:
    """The trained weights after a step on these tasks of the first batch, for each choice."""
    results = []
    for chosen in choices:
        learner, batch = trial.learner(), trial.batch()
        learner.compile(keras.optimizers.SGD(0.1), jit_compile=False)
        learner.train_on_batch(*tf.nest.map_structure(lambda t, c=chosen: tf.gather(t, c), batch))
        results.append([v.numpy() for v in learner.trainable_variables])
    return results


def agree(
    found: Any, expected: Any, why: str, relative: float = 1e-9, absolute: float = 1e-11
) -> None:
    """Raises AssertionError unless two lists of numbers are equal up to rounding."""
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape:
            raise AssertionError(f"{why} Received: shapes {one.shape} and {other.shape}.")
        if not np.allclose(one, other, relative, absolute, equal_nan=True):
            apart = np.abs(one.astype("float64") - other.astype("float64")).max()
            raise AssertionError(f"{why} Received: values that differ by up to {apart:.3g}.")


def same(found: Iterable[Any], expected: Iterable[Any], why: str) -> None:
    """Raises AssertionError unless two lists of arrays are equal bit for bit."""
    agree(found, expected, why, 0, 0)
