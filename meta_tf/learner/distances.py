"""Runs a learner's functions, and measures distances from the classes on the way."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.algorithms import Algorithm, InnerLoop
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.data_checks.outputs import outputs_of
from meta_tf.layers import strangeness
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights


def embeds(network: Network, algorithm: Algorithm) -> bool:
    """Whether distances in an embedding say what is none of the classes.

    The embedding is the model's outputs for an `EmbeddingLearner`. For an inner loop, it is the
    inputs of the model's last layer, scaled to unit length: their lengths say less.
    """
    return isinstance(algorithm, EmbeddingLearner) or measures_later(network, algorithm)


def measures_later(network: Network, algorithm: Algorithm) -> bool:
    """Whether distances take another pass after `adapt`: an inner loop ends with new weights."""
    return isinstance(algorithm, InnerLoop) and network.has_features


def adapt_and_measure(
    network: Network,
    algorithm: Algorithm,
    weights: Weights,
    support: Examples,
    steps: int | Tensor | None,
) -> Weights:
    """`algorithm.adapt`; `Weights.meta` also has what `predict_and_measure` needs."""
    if measures_later(network, algorithm):
        adapted = algorithm.adapt(network, weights, support, steps=steps)
        strange = measure_support(network, algorithm, adapted, support)
    else:
        recording = _recording(network, algorithm)
        adapted = algorithm.adapt(recording, weights, support, steps=steps)
        strange = _distances_from(recording, algorithm, support)
    return adapted._replace(meta={**adapted.meta, **strange})


def measure_support(
    network: Network, algorithm: Algorithm, adapted: Weights, support: Examples
) -> dict[str, Tensor]:
    """What `predict_and_measure` needs in `Weights.meta`, of an adapted network."""
    recording = _recording(network, algorithm)
    algorithm.predict(recording, adapted, support.x)
    return _distances_from(recording, algorithm, support)


def predict_and_measure(
    network: Network, algorithm: Algorithm, adapted: Weights, x: Tensors
) -> tuple[Tensor, Tensor | None]:
    """`algorithm.predict`, and the distances of `meta_tf.layers.strangeness`.

    The distances are None if the weights do not contain what they need.
    """
    if strangeness.MEANS not in adapted.meta:
        return algorithm.predict(network, adapted, x), None
    recording = _recording(network, algorithm)
    predictions = algorithm.predict(recording, adapted, x)
    return predictions, strangeness.class_distances(adapted.meta, _embedding(recording))


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
