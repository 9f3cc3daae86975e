"""Runs the network of a learner once for each example, and the rest on the embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.learner.adapted_model import AdaptedModel
from meta_tf.network.standardized_loss import StandardizedLoss
from meta_tf.parts import in_parts
from meta_tf.types import Examples, Tensor, Tensors, Weights

if TYPE_CHECKING:
    from meta_tf.learner.meta_learner import MetaLearner

_LARGE = 2**25  # bytes of a support set that passes in parts: 56 photographs of 224 x 224 pixels


def embeds_separately(learner: MetaLearner) -> bool:
    """Whether adaptation changes no weight of the network, and each example is embedded alone.

    Then `embedding_of` and `head_of` together do the same as the learner.
    """
    network = learner.network
    return (
        isinstance(learner.algorithm, EmbeddingLearner)
        and (not network.batch_norms or network.batch_norm == "running")
        and not isinstance(network.loss, StandardizedLoss)
        and network.input_spec is not None
    )


def embedding_of(learner: MetaLearner) -> Callable[[Tensors], Tensor]:
    """The compiled function from examples [B, ...] to embeddings [B, D]; B may vary."""
    network, algorithm, weights = learner.network, learner.algorithm, learner.weights_now

    def embed(x: Tensors) -> Tensor:
        return network(weights, algorithm.model_inputs(weights, x))

    spec = keras.tree.map_structure(
        lambda t: tf.TensorSpec(t.shape, t.dtype), algorithm.input_spec(network)
    )
    return tf.function(embed, autograph=False, input_signature=[spec])


def head_of(learner: MetaLearner) -> MetaLearner:
    """The learner without its network: it takes embeddings [S, D] in place of the examples."""
    (_, size) = learner.model.output_shape
    same = keras.Sequential([keras.Input([size]), keras.layers.Identity()], name=learner.model.name)
    network = learner.network
    head = type(learner)(same, learner.algorithm, network.loss, network.batch_norm)
    for variable, value in zip(head.variables, learner.weights_now.meta.values(), strict=True):
        variable.assign(value)
    head.calibration = learner.calibration
    return head


def with_network(learner: MetaLearner, fitted: AdaptedModel) -> AdaptedModel:
    """The adapted model that takes examples, from one of `head_of(learner)`."""
    weights = learner.weights_now._replace(meta=fitted.weights_now.meta)
    return AdaptedModel(
        learner.network,
        learner.algorithm,
        weights,
        **{**fitted.facts, "largest_input": learner._range.largest},
        pictures=learner.pictures,
        name=fitted.name,
    )


def passes_in_parts(learner: MetaLearner, support: Examples) -> bool:
    """Whether the support set is so large that its parts are embedded one after another."""
    tensors = tf.nest.flatten(support.x)
    large = sum(math.prod(t.shape) * t.dtype.size for t in tensors) > _LARGE
    return large and embeds_separately(learner)


def adapt_in_parts(learner: MetaLearner, support: Examples, steps: int | None) -> Weights:
    """The adapted weights, with memory for the activations of a few examples only."""
    weights = learner.weights_now
    fitted = head_of(learner).adapt(embedded(learner, support), support.y, steps)
    return weights._replace(meta=fitted.weights_now.meta)


def embedded(learner: MetaLearner, support: Examples) -> Tensor:
    """The embeddings [S, D] of a support set."""
    embed = embedding_of(learner)
    return tf.concat([embed(part) for part in in_parts(support.x)], 0)
