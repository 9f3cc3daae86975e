"""Losses as data, with the settings that Keras omits."""

from __future__ import annotations

import inspect
from typing import Any

import keras


def written_loss(loss: Any) -> Any:
    """A loss in Keras's form, with settings that Keras omits, such as `Huber(delta)`."""
    written = keras.saving.serialize_keras_object(loss)
    takes = inspect.signature(type(loss).__init__).parameters
    for name, value in loss_settings(loss).items():
        if name in takes:
            written["config"].setdefault(name, keras.saving.serialize_keras_object(value))
    return written


def loss_settings(loss: Any) -> dict[str, Any]:
    """The arguments that a Keras loss object passes to its function after the predictions."""
    return getattr(loss, "_fn_kwargs", {})
