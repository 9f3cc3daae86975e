"""The functions that TensorFlow compiles to adapt to tasks and to predict."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.eager.record import could_possibly_record  # there is no public name

from meta_tf.algorithms import Algorithm
from meta_tf.batch.map_tasks import map_tasks
from meta_tf.batch.sizes import cut, how_to_run, padded
from meta_tf.learner.distances import adapt_and_measure, measure_support, predict_and_measure
from meta_tf.learner.query_batch import predict_queries
from meta_tf.network.finite import all_finite, nan_unless_finite
from meta_tf.network.masks import packed
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights


class Compiled:
    """A function that TensorFlow compiles, for calls that take as little time as a small network.

    A `tf.function` compares all arguments with those of its traces at every call. This finds a
    trace by the structure, shapes and types of a few of them.

    Args:
      function: the function to compile.
      varying: maps its arguments to those that can differ in shape or type from call to call:
        a structure of tensors and of values that can be keys of a dict.
    """

    def __init__(self, function: Callable[..., Any], varying: Callable[..., Any]):
        self.function = tf.function(function, autograph=False, reduce_retracing=True)
        self._varying = varying
        self._traces: dict[Hashable, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        if tf.config.functions_run_eagerly():  # so that users can debug their layers
            return self.function(*arguments)
        key = _key(self._varying(*arguments))
        if key not in self._traces:
            self._traces[key] = self.function.get_concrete_function(*arguments)
        trace = self._traces[key]
        if not tf.executing_eagerly() or could_possibly_record():
            return trace(*arguments)
        # Without a gradient, the tensors are all that it needs. A call with arguments takes three
        # times as long: it compares each of the weights with that of the trace.
        tensors = [a for a in tf.nest.flatten(arguments) if isinstance(a, tf.Tensor)]
        return trace.inference_fn.call_preflattened([*tensors, *trace.captured_inputs])


def _key(value: Any) -> Hashable:
    """A key of a dict for the structure of a value, and the shapes and types of its tensors."""
    if isinstance(value, tf.Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, tuple | list):
        return type(value), *map(_key, value)
    if isinstance(value, Mapping):
        return tuple((name, _key(value[name])) for name in sorted(value))
    return value


class TaskFunctions(NamedTuple):
    """The compiled functions of a learner that its adapted models share.

    The weights are an argument, so one function serves every task: TensorFlow traces it for the
    first batch, and once more for a batch of another size.

    `predict`: `(weights, x) -> (packed predictions, losses)`; the losses are those that layers
    add, such as activity regularisers. `judge`: `(weights, x) -> (predictions, distances)`; the
    distances from the classes are those of `meta_tf.layers.strangeness`, None if the weights do
    not contain what they need. `measure`: `(weights, support) ->` what they need, by name.
    """

    predict: Compiled
    judge: Compiled
    measure: Compiled


def compiled_adapt(
    network: Network, algorithm: Algorithm, weights: Callable[[], Weights], distances: bool
) -> Compiled:
    """Compiles `(support, steps, ranks) -> (adapted weights, whether they are finite)`.

    `ranks` are the ranks of the support set's tensors: one trace for both [S, 1] and [S] would have
    an unknown rank.

    Args:
      network: the model and its loss.
      algorithm: the algorithm that learns the tasks.
      weights: returns the learner's weights.
      distances: whether the adapted weights of an `EmbeddingLearner` contain what
        `meta_tf.layers.strangeness` needs. It embeds the support set anyway.
    """

    def adapt(
        support: Examples, steps: int | None, ranks: tuple[int, ...]
    ) -> tuple[Weights, Tensor]:
        del ranks
        if not distances:
            adapted = algorithm.adapt(network, weights(), support, steps=steps)
            return adapted, all_finite(adapted)
        adapted = adapt_and_measure(network, algorithm, weights(), support, steps)
        return adapted, all_finite(adapted)

    return Compiled(adapt, lambda support, steps, ranks: (support, steps))


def compiled_trajectory(
    network: Network, algorithm: Algorithm, weights: Callable[[], Weights], mode: str
) -> Any:
    """Compiles `(tasks, steps, batch_with) -> predictions after 0 … steps`, [T, steps + 1, Q, ...].

    Args:
      network: the model and its loss.
      algorithm: the algorithm that learns the tasks.
      weights: returns the learner's weights.
      mode: the learner's `task_parallelism`.
    """

    def trajectory(tasks: dict[str, Tensors], steps: int, batch_with: str) -> tuple[Tensors, ...]:
        before = weights()

        def learn(task: dict[str, Tensors]) -> Tensors:
            real = cut(task)
            support = Examples(real["support_x"], real["support_y"])

            def predictions(adapted: Weights) -> tuple[Tensors, ...]:
                found = predict_queries(
                    algorithm, network, adapted, support.x, real["query_x"], batch_with
                )
                return nan_unless_finite(adapted, packed(found))

            after = algorithm.trajectory(network, before, support, predictions, steps=steps)
            return padded(after, task, axis=1)

        return map_tasks(learn, tasks, **how_to_run(tasks, mode, jit="auto"))

    return tf.function(trajectory, autograph=False)


def task_functions(network: Network, algorithm: Algorithm) -> TaskFunctions:
    """Compiles the functions of a learned task."""

    def predict(weights: Weights, x: Tensors) -> tuple[tuple[Tensors, ...], list[Tensor]]:
        return predictions_and_losses(network, algorithm, weights, x)

    def judge(weights: Weights, x: Tensors) -> tuple[Tensor, Tensor | None]:
        check_unchanged(network)
        return predict_and_measure(network, algorithm, weights, x)

    def measure(weights: Weights, support: Examples) -> dict[str, Tensor]:
        check_unchanged(network)
        return measure_support(network, algorithm, weights, support)

    def varying(weights: Weights, examples: Any) -> Any:
        return weights.meta, examples

    return TaskFunctions(*(Compiled(f, varying) for f in (predict, judge, measure)))


def predictions_and_losses(
    network: Network, algorithm: Algorithm, weights: Weights, x: Tensors
) -> tuple[tuple[Tensors, ...], list[Tensor]]:
    """What `TaskFunctions.predict` computes."""
    check_unchanged(network)
    recording = network.recording()
    predictions = algorithm.predict(recording, weights, x)
    return packed(predictions), recording.last.added


def check_unchanged(network: Network) -> None:
    """Raises ValueError if the layers of an adapted model have changed since it was made."""
    changed = network.structure.changes()
    if changed:
        raise ValueError(
            "The learner's model must be as it was when the adapted model was made. Received: "
            f"{network.model.name!r}, which was frozen, unfrozen, quantised or loaded at: "
            f"{', '.join(changed[:4])}. Undo the change, or call "
            "learner.adapt(support_x, support_y) again."
        )
