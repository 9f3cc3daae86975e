"""Checks before saving to a `.keras` file that it can be loaded again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras


def check_keras_file(filepath: Any, parts: dict[str, Any]) -> None:
    """Raises ValueError unless a file with this name and these parts can be loaded again.

    Args:
      filepath: the file to save to.
      parts: its content (model, loss, algorithm), by the name of the argument.
    """
    if isinstance(filepath, str | Path) and Path(filepath).suffix in (".h5", ".hdf5"):
        raise ValueError(
            "`filepath` must end in .keras: the older .h5 format stores weights only by their "
            "position, and neither the algorithm nor the loss. Received: "
            f"{str(filepath)!r}. Save to {Path(filepath).with_suffix('.keras').name!r} instead."
        )
    for name, part in parts.items():
        for unknown in _unknown(keras.saving.serialize_keras_object(part)):
            raise ValueError(
                f"`{name}` could not be loaded again from a file: it contains {unknown}, which "
                "Keras would not find. Decorate the class or function with "
                '@keras.saving.register_keras_serializable("my_package"), and import its module '
                "before loading."
            )
    _check_settings(parts.get("loss"))


def _check_settings(loss: Any) -> None:
    """Raises ValueError if Keras does not save a setting of the loss, as for `Huber(delta)`."""
    settings = getattr(loss, "_fn_kwargs", None)
    if not settings:
        return
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    for name, value in settings.items():
        if again._fn_kwargs.get(name) != value:
            raise ValueError(
                f"`loss` could not be loaded again from a file as it is: Keras does not save the "
                f"setting {name!r} of {type(loss).__name__}. Received: {name}={value!r}. Pass "
                "your own function instead, registered with "
                '@keras.saving.register_keras_serializable("my_package").'
            )


def _unknown(written: Any) -> Iterator[str]:
    """The parts of a serialized object that Keras could not find when loading it."""
    if isinstance(written, list | tuple):
        for part in written:
            yield from _unknown(part)
    if not isinstance(written, dict):
        return
    name = written.get("class_name")
    if name == "__lambda__":
        yield "a lambda"
        return
    if name == "function" and not _is_found(written):
        yield f"the function {written['config']!r}"
    elif isinstance(name, str) and "module" in written and "registered_name" in written:
        module, registered = str(written["module"]), written["registered_name"]
        own = module.split(".")[0] == "keras" or name == "function"
        if not own and keras.saving.get_registered_object(registered) is None:
            yield f"the class {name!r} of {module}"
    for part in written.values():
        yield from _unknown(part)


def _is_found(function: dict[str, Any]) -> bool:
    try:
        keras.saving.deserialize_keras_object(function)
    except (TypeError, ValueError):
        return False
    return True
