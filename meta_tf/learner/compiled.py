"""The functions that TensorFlow compiles to adapt to tasks and to predict."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import tensorflow as tf

from meta_tf.algorithms import Algorithm, InnerLoop
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.batch.map_tasks import map_tasks
from meta_tf.batch.sizes import cut, how_to_run, padded
from meta_tf.data_checks.targets import outputs_of
from meta_tf.layers import strangeness
from meta_tf.learner.query_batch import predict_queries
from meta_tf.network.finite import all_finite, nan_unless_finite
from meta_tf.network.masks import packed
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights


class Compiled:
    """A function that TensorFlow compiles, for calls that take as little time as a small network.

    A `tf.function` compares all arguments with those of its traces at every call. This finds a
    trace by the shapes and types of a few of them.

    Args:
      function: the function to compile.
      varying: maps its arguments to those that can differ in shape or type from call to call:
        a structure of tensors and of values that can be keys of a dict.
    """

    def __init__(self, function: Callable[..., Any], varying: Callable[..., Any]):
        self.function = tf.function(function, autograph=False, reduce_retracing=True)
        self._varying = varying
        self._traces: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        if tf.config.functions_run_eagerly():  # so that users can debug their layers
            return self.function(*arguments)
        key = tuple(
            (tuple(v.shape), v.dtype) if isinstance(v, tf.Tensor) else v
            for v in tf.nest.flatten(self._varying(*arguments))
        )
        if key not in self._traces:
            self._traces[key] = self.function.get_concrete_function(*arguments)
        return self._traces[key](*arguments)


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
        recording = _recording(network, algorithm)
        adapted = algorithm.adapt(recording, weights(), support, steps=steps)
        strange = _distances_from(recording, algorithm, support)
        adapted = adapted._replace(meta={**adapted.meta, **strange})
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
        if strangeness.MEANS not in weights.meta:
            return algorithm.predict(network, weights, x), None
        recording = _recording(network, algorithm)
        predictions = algorithm.predict(recording, weights, x)
        return predictions, strangeness.class_distances(weights.meta, _embedding(recording))

    def measure(weights: Weights, support: Examples) -> dict[str, Tensor]:
        check_unchanged(network)
        recording = _recording(network, algorithm)
        algorithm.predict(recording, weights, support.x)
        return _distances_from(recording, algorithm, support)

    def varying(weights: Weights, examples: Any) -> Any:
        return *weights.meta, weights.meta, examples

    return TaskFunctions(*(Compiled(f, varying) for f in (predict, judge, measure)))


def measures_later(network: Network, algorithm: Algorithm) -> bool:
    """Whether `measure` computes distances after an inner loop, which ends with another network.

    The embedding is the model's outputs for an `EmbeddingLearner`. For an inner loop, it is the
    inputs of the model's last layer, scaled to unit length: their lengths say less.
    """
    return isinstance(algorithm, InnerLoop) and network.has_features


def _distances_from(
    recording: Network, algorithm: Algorithm, support: Examples
) -> dict[str, Tensor]:
    """`fit_strangeness` of the support set, with the embeddings of its last pass."""
    ways = outputs_of(algorithm, recording) or 0
    return strangeness.fit_strangeness(_embedding(recording), support.y, ways)


def _recording(network: Network, algorithm: Algorithm) -> Network:
    return network.recording(features=not isinstance(algorithm, EmbeddingLearner))


def _embedding(recording: Network) -> Any:
    """The embeddings [B, D] of the last pass."""
    outputs, features = recording.last.outputs, recording.last.features
    return outputs if features is None else tf.math.l2_normalize(features, -1)


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
