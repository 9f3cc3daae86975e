"""Checks of a model before tracing."""

from __future__ import annotations

from collections import Counter
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


def check_used_once(uses: Counter[Any]) -> None:
    """Raises ValueError in mode `support` if a batch normalisation is used more than once.

    It would store a mixture of the statistics of two inputs.
    """
    for layer, count in uses.items():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and count > 1:
            raise ValueError(
                '`batch_norm="support"` needs batch normalisations that are used once. Received: '
                f"{layer.name!r}, used {count} times. Use a separate layer at each place."
            )


def uses_in(model: Any) -> Counter[Any]:
    """How often each layer is used in a model of Keras inputs and layers, nested ones included.

    A subclassed model shows this only when it runs.
    """
    if isinstance(model, keras.Sequential):
        operations = list(model.layers)
    else:
        nodes = getattr(model, "_nodes_by_depth", {}).values()
        operations = [node.operation for several in nodes for node in several]
    uses = Counter(operations)
    for operation in operations:
        uses += uses_in(operation)
    return uses


def check_outputs(model: Any, outputs: Any) -> None:
    """Raises ValueError unless a model returns a single tensor."""
    if isinstance(outputs, dict) or (isinstance(outputs, list | tuple) and len(outputs) > 1):
        raise ValueError(
            "`model` must have a single output, which the loss compares with the targets. "
            f"Received: {model.name!r}, which gives a {type(outputs).__name__} of "
            f"{len(keras.tree.flatten(outputs))} outputs. Concatenate them, or choose one: "
            "keras.Model(model.inputs, model.outputs[0])."
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
    check_outputs(model, getattr(model, "_outputs_struct", None))
    for layer in model._flatten_layers():
        if any(v.overwrite_with_gradient for v in layer._trainable_variables):
            raise ValueError(
                "`model` must not be quantised to float8: Keras passes the scales of its layers as "
                "gradients, and inner steps would use them as gradients. Received: "
                f"{layer.name!r} of {model.name!r}. Quantise it to int8 instead, or not at all."
            )
