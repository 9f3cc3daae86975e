"""What compiled code takes for granted about a model, and what has changed since."""

from __future__ import annotations

from typing import Any

import keras


class Structure:
    """A model's variables, what is frozen in it and its precision, as they are now.

    Programs that were traced for a model hold all of these fixed: none of them sees that a
    layer was frozen later, got LoRA's factors or was quantised.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._then = _look(model)
        self._names = _names(model)
        self._held = model.variables  # so that no other takes over an `id`

    def changes(self) -> list[str]:
        """The layers and variables that have changed since; nothing if all is as it was."""
        if _look(self._model) == self._then:
            return []
        now = _names(self._model)
        changed = set(now) ^ set(self._names)
        return list(dict.fromkeys(part[0] for part in [*now, *self._names] if part in changed))


def _look(model: keras.Model) -> tuple[list[Any], ...]:
    """What is compared each time a learner is used, and so without any name."""
    layers = list(model._flatten_layers())
    variables = [
        v for la in layers for v in (*la._trainable_variables, *la._non_trainable_variables)
    ]
    return (
        [la.trainable for la in layers],
        [la.dtype_policy for la in layers],
        [v.trainable for v in variables],
        [id(v) for v in variables],
    )


def _names(model: keras.Model) -> list[tuple[Any, ...]]:
    layers = [(la.name, la.trainable, la.dtype_policy.name) for la in model._flatten_layers()]
    return [*layers, *((v.path, v.trainable, id(v)) for v in model.variables)]
