"""What layers save and load in ways of their own, beyond their variables.

A layer may derive constants from its state when it is loaded (`Normalization`), keep a table
that is no variable (`StringLookup`), or write something else than its variables hold (a kernel
merged with LoRA's factors, which are zero after loading).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras


class ExactState(keras.Operation):
    """Saves what the layers of a model do not write as it is: seeds, LoRA's factors and kernels.

    An attribute of a Keras model with a private name, so that Keras loads it after the layers.

    Args:
      model: returns the model. (Keras would walk through the model itself once more.)
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
        for i in store.keys():  # noqa: SIM118 - a store of Keras is no dict
            variables[int(i)].assign(store[i])


def save_layers(model: keras.Model, store: Any) -> None:
    """Writes what layers save besides their variables, by the layer's number and the entry's name.

    Of a layer that has such an entry all entries are written.
    """
    variables = {id(v) for v in model.variables}
    for i, layer in enumerate(_layers(model)):
        written = _written(layer)
        if any(id(entry) not in variables for entry in written.values()):
            for name, entry in written.items():
                store[f"layer{i}_{name}"] = entry


def load_layers(model: keras.Model, store: Any) -> None:
    """Prepares the layers of a model whose variables are loaded, with what `save_layers` wrote."""
    for i, layer in enumerate(_layers(model)):
        front = f"layer{i}_"
        entries = {
            name.removeprefix(front): store[name]
            for name in store.keys()  # noqa: SIM118 - a store of Keras is no dict
            if name.startswith(front)
        }
        if entries:
            with _kept_variables(layer):
                layer.load_own_variables(entries)
    prepare_layers(model)


def prepare_layers(model: keras.Model) -> None:
    """Has layers derive their constants from the variables anew, as after loading a file."""
    for layer in _layers(model):
        if _prepares_itself(layer):
            with _kept_variables(layer):
                entries = _written(layer)
                layer.load_own_variables(
                    {name: keras.ops.convert_to_numpy(entry) for name, entry in entries.items()}
                )


def layers_with_constants(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that may hold what is no variable and yet changes, such as means or a table."""
    return [la for la in _layers(model) if _prepares_itself(la) or hasattr(la, "lookup_table")]


def _prepares_itself(layer: keras.layers.Layer) -> bool:
    """Whether a layer may derive something from its variables when they are loaded."""
    plain = type(layer).load_own_variables is keras.layers.Layer.load_own_variables
    return bool(layer._non_trainable_variables) and not plain


def save_layer_assets(model: keras.Model, folder: str) -> None:
    """Writes the files of layers that have some, such as vocabularies, by the layer's number."""
    for i, layer in enumerate(_layers(model)):
        if hasattr(layer, "save_assets"):
            part = Path(folder) / f"layer{i}"
            part.mkdir(parents=True)
            layer.save_assets(str(part))


def load_layer_assets(model: keras.Model, folder: str) -> None:
    """Reads what `save_layer_assets` has written."""
    for i, layer in enumerate(_layers(model)):
        part = Path(folder) / f"layer{i}"
        if hasattr(layer, "load_assets") and part.exists():
            layer.load_assets(str(part))


def tables_of(model: keras.Model) -> list[Any]:
    """The lookup tables of layers such as `StringLookup`, which a SavedModel has to be told of."""
    return [layer.lookup_table for layer in _layers(model) if hasattr(layer, "lookup_table")]


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return list(model._flatten_layers())


def _written(layer: keras.layers.Layer) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    layer.save_own_variables(entries)
    return entries


@contextlib.contextmanager
def _kept_variables(layer: keras.layers.Layer) -> Iterator[None]:
    """Gives the layer's variables their values back afterwards: LoRA's become zero in loading."""
    variables = [*layer._trainable_variables, *layer._non_trainable_variables]
    values = [v.numpy() for v in variables]
    yield
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
