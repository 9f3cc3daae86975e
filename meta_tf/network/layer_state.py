"""Saves and loads what layers hold besides their variables.

A layer can derive constants from its state when it is loaded (`Normalization`), hold a table
that is not a variable (`StringLookup`), or write other values than its variables hold (a kernel
merged with LoRA's factors, which are zero after loading).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras


class ExactState(keras.Operation):
    """Saves the state that layers do not write unchanged: seeds, LoRA's factors and kernels.

    Store it in a private attribute of a Keras model, so that Keras loads it after the layers.
    `model` returns the model, which Keras would otherwise traverse again.
    """

    def __init__(self, model: Callable[[], keras.Model]):
        super().__init__(name="exact_state")
        self._of = model

    def save_own_variables(self, store: Any) -> None:
        model = self._of()
        written = {id(entry) for layer in _layers(model) for entry in _written(layer).values()}
        for i, variable in enumerate(model.variables):
            if id(variable) not in written:
                store[str(i)] = variable

    def load_own_variables(self, store: Any) -> None:
        variables = self._of().variables
        for i in store.keys():  # noqa: SIM118 - a Keras store is not a dict
            variables[int(i)].assign(store[i])


def save_layers(model: keras.Model, store: Any) -> None:
    """Writes all entries of the layers that save something besides their variables."""
    variables = {id(v) for v in model.variables}
    for i, layer in enumerate(_layers(model)):
        written = _written(layer)
        if any(id(entry) not in variables for entry in written.values()):
            for name, entry in written.items():
                store[f"layer{i}_{name}"] = entry


def load_layers(model: keras.Model, store: Any) -> None:
    """Prepares the layers of a model with loaded variables, with the data from `save_layers`."""
    for i, layer in enumerate(_layers(model)):
        front = f"layer{i}_"
        entries = {
            name.removeprefix(front): store[name]
            for name in store.keys()  # noqa: SIM118 - a Keras store is not a dict
            if name.startswith(front)
        }
        if entries:
            with _kept_variables(layer):
                layer.load_own_variables(entries)
    prepare_layers(model)


def prepare_layers(model: keras.Model) -> None:
    """Makes layers derive their constants from the variables again, as after loading a file."""
    for layer in _layers(model):
        if _prepares_itself(layer):
            with _kept_variables(layer):
                entries = _written(layer)
                layer.load_own_variables(
                    {name: keras.ops.convert_to_numpy(entry) for name, entry in entries.items()}
                )


def layers_with_constants(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that can hold changing values outside of variables, such as means or a table."""
    return [la for la in _layers(model) if _prepares_itself(la) or hasattr(la, "lookup_table")]


def _prepares_itself(layer: keras.layers.Layer) -> bool:
    """Whether a layer can derive values from its variables when they are loaded."""
    plain = type(layer).load_own_variables is keras.layers.Layer.load_own_variables
    return bool(layer._non_trainable_variables) and not plain


def save_layer_assets(model: keras.Model, folder: str) -> None:
    """Writes the files of layers that have some, such as vocabularies, by layer number."""
    for i, layer in enumerate(_layers(model)):
        if hasattr(layer, "save_assets"):
            part = Path(folder) / f"layer{i}"
            part.mkdir(parents=True)
            layer.save_assets(str(part))


def load_layer_assets(model: keras.Model, folder: str) -> None:
    """Reads the files that `save_layer_assets` wrote."""
    for i, layer in enumerate(_layers(model)):
        part = Path(folder) / f"layer{i}"
        if hasattr(layer, "load_assets") and part.exists():
            layer.load_assets(str(part))


def tables_of(model: keras.Model) -> list[Any]:
    """The lookup tables of layers such as `StringLookup`, which a SavedModel has to track."""
    return [layer.lookup_table for layer in _layers(model) if hasattr(layer, "lookup_table")]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return list(model._flatten_layers())


def _written(layer: keras.layers.Layer) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    layer.save_own_variables(entries)
    return entries


@contextlib.contextmanager
def _kept_variables(layer: keras.layers.Layer) -> Iterator[None]:
    """Restores the layer's variables afterwards: loading sets LoRA's factors to zero."""
    variables = [*layer._trainable_variables, *layer._non_trainable_variables]
    values = [v.numpy() for v in variables]
    yield
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
