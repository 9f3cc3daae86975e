"""What the algorithms share whose model is an embedding: its check and the support set's pass."""

from __future__ import annotations

from typing import Any

from meta_tf.layers import classifiers
from meta_tf.network.network import Network
from meta_tf.types import Examples, Weights


def check_embedding(network: Network, algorithm: str) -> None:
    """Raises ValueError unless the model's output is one vector for each example."""
    shape = getattr(network.model, "output_shape", None)
    if shape is not None and not (isinstance(shape, tuple) and len(shape) == 2):
        raise ValueError(
            f"`model` must give {algorithm} an embedding [B, D], one vector for each example. "
            f"Received: {network.model.name!r} with outputs of shape {shape}. End it in a "
            "Flatten or a GlobalAveragePooling2D layer, and leave the classifier out, as "
            "meta_tf.models.conv4(ways=None) does."
        )


def embed_support(
    network: Network, weights: Weights, support: Examples, *, training: bool
) -> tuple[Any, Weights]:
    """Embeds a support set: its embeddings [S, D], and the weights for the query set."""
    embeddings, state = network.support_outputs(weights, support.x, training=training)
    # Outside of training no query depends on how the support set moved the averages.
    after = weights._replace(state=state) if training else weights
    return classifiers.single(embeddings), network.settle(after, support.x, training=training)
