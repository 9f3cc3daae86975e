"""What compiled code takes for granted about a model, and what has changed since."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.layer_state import layers_with_constants


class Structure:
    """A model's variables, what is frozen in it, its precision and its constants, as they are now.

    Programs that were traced for a model hold all of these fixed: none of them sees that a
    layer was frozen later, got LoRA's factors, was quantised, or found new means and variances.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._with_constants = layers_with_constants(model)
        # Held, so that nothing else takes over an `id`.
        self._held = (model.variables, [_constants(la) for la in self._with_constants])
        self._then = self._look()
        self._names = self._by_name()

    def changes(self) -> list[str]:
        """The layers and variables that have changed since; nothing if all is as it was."""
        if self._look() == self._then:
            return []
        now = self._by_name()
        changed = set(now) ^ set(self._names)
        return list(dict.fromkeys(part[0] for part in [*now, *self._names] if part in changed))

    def _look(self) -> tuple[list[Any], ...]:
        """What is compared each time a learner is used, and so without any name."""
        layers = list(self._model._flatten_layers())
        variables = [
            v for la in layers for v in (*la._trainable_variables, *la._non_trainable_variables)
        ]
        return (
            [la.trainable for la in layers],
            [la.dtype_policy for la in layers],
            [v.trainable for v in variables],
            [id(v) for v in variables],
            [id(c) for la in self._with_constants for c in _constants(la)],
        )

    def _by_name(self) -> list[tuple[Any, ...]]:
        layers = [
            (la.name, la.trainable, la.dtype_policy.name) for la in self._model._flatten_layers()
        ]
        variables = [(v.path, v.trainable, id(v)) for v in self._model.variables]
        constants = [(la.name, *map(id, _constants(la))) for la in self._with_constants]
        return [*layers, *variables, *constants]


def _constants(layer: keras.layers.Layer) -> list[Any]:
    """The tensors and tables that a layer holds as they are."""
    kinds = (tf.__internal__.EagerTensor, tf.lookup.StaticHashTable)
    return [value for value in vars(layer).values() if isinstance(value, kinds)]
