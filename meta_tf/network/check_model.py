"""Checks of a model and its loss before tracing."""

from __future__ import annotations

from typing import Any

import keras


def check_momentum(layers: list[keras.layers.BatchNormalization]) -> None:
    """Raises ValueError if a layer does not store statistics, which mode `support` needs."""
    for layer in layers:
        if layer.trainable and layer.momentum >= 1:
            raise ValueError(
                f'`batch_norm="support"` needs batch normalisation with a `momentum` below 1: at '
                f"1 no statistics are stored. Received: {layer.name!r} with {layer.momentum}. "
                "Lower it, or freeze the layer to keep its statistics."
            )


def check_used_once(model: keras.Model, layers: list[keras.layers.BatchNormalization]) -> None:
    """Raises ValueError in mode `support` if a layer is used at several places."""
    # Used twice, a layer would store a mixture of the statistics of two inputs. In a subclassed
    # model, this cannot be detected.
    depths = getattr(model, "_nodes_by_depth", {}).values()
    used = [node.operation for nodes in depths for node in nodes]
    for layer in layers:
        uses = sum(operation is layer for operation in used)
        if layer.trainable and uses > 1:
            raise ValueError(
                '`batch_norm="support"` needs batch normalisations that are used once. Received: '
                f"{layer.name!r}, used {uses} times. Use a separate layer at each place."
            )


def check_model(model: Any) -> None:
    """Raises ValueError unless the model is a built Keras model."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"`model` must be built, so that its weights exist. Received: {model.name!r}, not "
            "built. Add a keras.Input, or call it once on a batch of examples."
        )


def as_loss(loss: Any) -> Any:
    """The Keras loss for a name, an object or a function.

    Raises:
      ValueError: if it is not a loss.
    """
    try:
        found = keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise ValueError(f"`loss` is not a Keras loss. Received: {loss!r}. {error}") from error
    if found is None:
        raise ValueError(
            "`loss` must be a Keras loss, its name or a function (y_true, y_pred). Received: None."
        )
    return found
