"""Checks before saving to a `.keras` file that it can be loaded again."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from meta_tf.tasks.images.picture_input import PictureInput


def check_keras_file(filepath: Any, model: keras.Model) -> None:
    """Raises ValueError unless a file with this name and model can be loaded again."""
    if isinstance(filepath, str | Path) and Path(filepath).suffix in (".h5", ".hdf5"):
        raise ValueError(
            "`filepath` must end in .keras: the older .h5 format stores weights only by their "
            "position, and neither the algorithm nor the loss. Received: "
            f"{str(filepath)!r}. Save to {Path(filepath).with_suffix('.keras').name!r} instead."
        )
    model.get_config()  # before Keras opens the file, which empties an earlier one


def write_parts(model: keras.Model, algorithm: Any, loss: Any) -> dict[str, Any]:
    """The parts of a learner or an adapted model in Keras's form, for its `get_config`.

    Every way of saving and copying goes through it: `save`, `keras.saving.save_model`, pickle,
    `deepcopy`, `clone_model`, and saving a larger model.

    Raises:
      ValueError: if a part could not be read again.
    """
    parts = {
        "model": keras.saving.serialize_keras_object(model),
        "algorithm": keras.saving.serialize_keras_object(algorithm),
        "loss": _write_loss(loss),
    }
    for name, written in parts.items():
        for unknown in _unknown(written):
            raise ValueError(
                f"`{name}` could not be loaded again from a file: it contains {unknown}, which "
                "Keras would not find. Decorate the class or function with "
                '@keras.saving.register_keras_serializable("my_package"), and import its module '
                "before loading."
            )
    _check_loss(loss, parts["loss"])
    alphas = lora_alphas(model)
    return {**parts, "lora_alpha": alphas} if alphas else parts


def read_parts(config: dict[str, Any]) -> tuple[keras.Model, Any, Any]:
    """`(model, algorithm, loss)` as written by `write_parts`, taken out of `config`."""
    model, algorithm, loss = (
        keras.saving.deserialize_keras_object(config.pop(name))
        for name in ("model", "algorithm", "loss")
    )
    set_lora_alphas(model, config.pop("lora_alpha", {}))
    return model, algorithm, loss


def write_pictures(pictures: PictureInput | None) -> dict[str, Any]:
    """How pictures become inputs, for `get_config`; empty if this follows from the model."""
    return {} if pictures is None else {"pictures": dataclasses.asdict(pictures)}


def read_pictures(config: dict[str, Any]) -> PictureInput | None:
    """What `write_pictures` wrote, taken out of `config`."""
    written = config.pop("pictures", None)
    return written and PictureInput(**{**written, "size": tuple(written["size"])})


def lora_alphas(model: keras.Model) -> dict[str, Any]:
    """The scales of LoRA by layer number, for layers whose scale is not the rank.

    Keras writes `lora_alpha`, but uses the rank when it reads a layer.
    """
    return {
        str(i): layer.lora_alpha
        for i, layer in enumerate(model._flatten_layers())
        if getattr(layer, "lora_enabled", False) and layer.lora_alpha != layer.lora_rank
    }


def set_lora_alphas(model: keras.Model, alphas: dict[str, Any]) -> None:
    """Sets the scales that `lora_alphas` found."""
    layers = list(model._flatten_layers())
    for i, alpha in alphas.items():
        layers[int(i)].lora_alpha = alpha


def _write_loss(loss: Any) -> Any:
    """A loss in Keras's form, with settings that Keras omits, such as `Huber(delta)`."""
    written = keras.saving.serialize_keras_object(loss)
    takes = inspect.signature(type(loss).__init__).parameters
    for name, value in _settings(loss).items():
        if name in takes:
            written["config"].setdefault(name, keras.saving.serialize_keras_object(value))
    return written


def _check_loss(loss: Any, written: Any) -> None:
    """Raises ValueError if a loss has a setting that reading it again would lose."""
    settings = _settings(loss)
    if not settings:
        return
    again = _settings(keras.saving.deserialize_keras_object(written))
    for name, value in settings.items():
        if again.get(name) != value:
            raise ValueError(
                f"`loss` could not be loaded again from a file as it is: {type(loss).__name__} "
                f"does not save its setting {name!r}. Received: {name}={value!r}. Return it from "
                "the `get_config` of the loss, or pass your own function, registered with "
                '@keras.saving.register_keras_serializable("my_package").'
            )


def _settings(loss: Any) -> dict[str, Any]:
    """The arguments that a Keras loss object passes to its function after the predictions."""
    return getattr(loss, "_fn_kwargs", {})


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
