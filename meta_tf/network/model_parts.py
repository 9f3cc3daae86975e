"""Parts of a Keras model: they share its layers and their weights."""

from __future__ import annotations

from typing import Any

import keras


def part_of(model: keras.Model, outputs: Any) -> keras.Model:
    """A model with the same inputs and other outputs."""
    inputs = model.inputs if isinstance(model, keras.Sequential) else model.input
    return keras.Model(inputs, outputs, name=model.name)


def input_of(model: keras.Model, name: str) -> keras.KerasTensor:
    """The input of a layer in this model; `layer.input` is its input in the first model."""
    graph: Any = getattr(model, "_functional", model)  # of a Sequential model
    layer = model.get_layer(name)
    nodes = (node for nodes in graph._nodes_by_depth.values() for node in nodes)
    return next(node.input_tensors[0] for node in nodes if node.operation is layer)


def features_of(model: keras.Model) -> keras.KerasTensor | None:
    """The input of the layer that computes a model's outputs; None unless it is a vector."""
    if not isinstance(getattr(model, "outputs", None), list) or len(model.outputs) != 1:
        return None
    layer = model.outputs[0]._keras_history.operation
    if not getattr(layer, "weights", None) or model.get_layer(layer.name) is not layer:
        return None
    found = input_of(model, layer.name)
    computed = all(found is not tensor for tensor in model.inputs)
    return found if computed and len(found.shape) == 2 and found.shape[1] else None
