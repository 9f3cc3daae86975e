"""The functions that TensorFlow compiles to adapt to tasks and to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.batch.map_tasks import map_tasks
from meta_tf.batch.sizes import cut, how_to_run, padded
from meta_tf.learner.company import predict_in_company
from meta_tf.learner.distances import adapt_and_measure, predict_and_measure
from meta_tf.network.finite import all_finite, nan_unless_finite
from meta_tf.network.masks import packed
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights

Predict: TypeAlias = Callable[[Weights, Tensors], tuple[tuple[Tensors, ...], list[Tensor]]]
Judge: TypeAlias = Callable[[Weights, Tensors], tuple[Tensor, Tensor | None]]


def compiled_adapt(
    network: Network, algorithm: Algorithm, weights: Callable[[], Weights], distances: bool
) -> Any:
    """Compiles `(support, steps, ranks) -> (adapted weights, whether they are finite)`.

    `ranks` are the ranks of the support set's tensors: one trace for both [S, 1] and [S] would have
    an unknown rank.

    Args:
      network: the model and its loss.
      algorithm: the algorithm that learns the tasks.
      weights: returns the learner's weights.
      distances: whether the adapted weights contain what `meta_tf.layers.strangeness` needs.
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

    return tf.function(adapt, autograph=False, reduce_retracing=True)


def compiled_trajectory(
    network: Network, algorithm: Algorithm, weights: Callable[[], Weights], mode: str
) -> Any:
    """Compiles `(tasks, steps, company) -> predictions after 0 … steps`, [T, steps + 1, Q, ...].

    Args:
      network: the model and its loss.
      algorithm: the algorithm that learns the tasks.
      weights: returns the learner's weights.
      mode: the learner's `task_parallelism`.
    """

    def trajectory(tasks: dict[str, Tensors], steps: int, company: str) -> tuple[Tensors, ...]:
        before = weights()

        def learn(task: dict[str, Tensors]) -> Tensors:
            real = cut(task)
            support = Examples(real["support_x"], real["support_y"])

            def predictions(adapted: Weights) -> tuple[Tensors, ...]:
                found = predict_in_company(
                    algorithm, network, adapted, support.x, real["query_x"], company
                )
                return nan_unless_finite(adapted, packed(found))

            after = algorithm.trajectory(network, before, support, predictions, steps=steps)
            return padded(after, task, axis=1)

        return map_tasks(learn, tasks, **how_to_run(tasks, mode, jit="auto"))

    return tf.function(trajectory, autograph=False)


def compiled_predict(network: Network, algorithm: Algorithm) -> Predict:
    """Compiles the function `(weights, x) -> (packed predictions, losses)` of a learned task.

    The losses are those that layers add, such as activity regularisers. The weights are an
    argument, so one function serves every task of a learner: TensorFlow traces it for the first
    batch, and once more for a batch of another size.
    """

    def predict(weights: Weights, x: Tensors) -> tuple[tuple[Tensors, ...], list[Tensor]]:
        return predictions_and_losses(network, algorithm, weights, x)

    return tf.function(predict, autograph=False, reduce_retracing=True)


def compiled_judge(network: Network, algorithm: Algorithm) -> Judge:
    """Compiles the function `(weights, x) -> (predictions, distances)` of a learned task.

    The distances from the classes are those of `meta_tf.layers.strangeness`; None if the
    weights do not contain what they need.
    """

    def judge(weights: Weights, x: Tensors) -> tuple[Tensor, Tensor | None]:
        check_unchanged(network)
        return predict_and_measure(network, algorithm, weights, x)

    return tf.function(judge, autograph=False, reduce_retracing=True)


def predictions_and_losses(
    network: Network, algorithm: Algorithm, weights: Weights, x: Tensors
) -> tuple[tuple[Tensors, ...], list[Tensor]]:
    """What `compiled_predict` computes."""
    check_unchanged(network)
    recording = network.recording()
    predictions = algorithm.predict(recording, weights, x)
    return packed(predictions), recording.added_losses


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
