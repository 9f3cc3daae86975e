"""Checks of a model and its loss, before anything is traced."""

from __future__ import annotations

from typing import Any

import keras


def check_momentum(layers: list[keras.layers.BatchNormalization]) -> None:
    """Raises ValueError if a layer stores no statistics, as the mode `support` needs them."""
    for layer in layers:
        if layer.trainable and layer.momentum >= 1:
            raise ValueError(
                f'`batch_norm="support"` needs batch normalisation with a `momentum` below 1: at '
                f"1 no statistics are stored. Received: {layer.name!r} with {layer.momentum}. "
                "Lower it, or freeze the layer to keep its statistics."
            )


def check_used_once(model: keras.Model, layers: list[keras.layers.BatchNormalization]) -> None:
    """Raises ValueError if a layer of the mode `support` is used at several places."""
    # Used twice, a layer would store a blend of two sets' statistics. A subclassed model does
    # not tell.
    depths = getattr(model, "_nodes_by_depth", {}).values()
    used = [node.operation for nodes in depths for node in nodes]
    for layer in layers:
        uses = sum(operation is layer for operation in used)
        if layer.trainable and uses > 1:
            raise ValueError(
                '`batch_norm="support"` needs batch normalisations that are used once. Received: '
                f"{layer.name!r}, used {uses} times. Give each place a layer of its own."
            )


def check_model(model: Any) -> None:
    """Raises ValueError unless the model is a built Keras model."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"`model` must be built, so that its weights exist. Received: {model.name!r}, not "
            "built. Give it a keras.Input, or call it once on a batch of examples."
        )
    for layer in model._flatten_layers():
        if any(v.overwrite_with_gradient for v in layer._trainable_variables):
            raise ValueError(
                "`model` must not be quantised to float8: Keras hands on the scales of its layers "
                "as gradients, which inner steps would take for such. Received: "
                f"{layer.name!r} of {model.name!r}. Quantise it to int8 instead, or not at all."
            )


def as_loss(loss: Any) -> Any:
    """The loss, as Keras finds it by its name.

    Raises:
      ValueError: if it is none.
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
