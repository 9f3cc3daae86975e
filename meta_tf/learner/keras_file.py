"""What a learner and its adapted models write to a `.keras` file, and read from it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from meta_tf.algorithms import Algorithm
from meta_tf.calibration import Calibration
from meta_tf.network.loss_config import loss_settings, written_loss
from meta_tf.network.network import Network
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.types import Tensors

_BATCH_WITH = "batch_with.npz"


def check_keras_file(filepath: Any, model: keras.Model) -> None:
    """Raises ValueError unless a file with this name and model can be loaded again."""
    if isinstance(filepath, str | Path) and Path(filepath).suffix in (".h5", ".hdf5"):
        raise ValueError(
            "`filepath` must end in .keras: the older .h5 format stores weights only by their "
            "position, and neither the algorithm nor the loss. Received: "
            f"{str(filepath)!r}. Save to {Path(filepath).with_suffix('.keras').name!r} instead."
        )
    model.get_config()  # before Keras opens the file, which empties an earlier one


class Parts(NamedTuple):
    """What the files of a learner and of its adapted models have in common.

    `pictures`: how pictures become inputs; None if this follows from the model.
    """

    network: Network
    algorithm: Algorithm
    calibration: Calibration | None
    pictures: PictureInput | None


def write_parts(parts: Parts) -> dict[str, Any]:
    """The parts of a learner or an adapted model in Keras's form, for its `get_config`.

    Every way of saving and copying goes through it: `save`, `keras.saving.save_model`, pickle,
    `deepcopy`, `clone_model`, and saving a larger model.

    Raises:
      ValueError: if a part could not be read again.
    """
    network, algorithm, calibration, pictures = parts
    written = {
        "model": keras.saving.serialize_keras_object(network.model),
        "algorithm": keras.saving.serialize_keras_object(algorithm),
        "loss": written_loss(network.loss),
    }
    for name, part in written.items():
        for unknown in _unknown(part):
            raise ValueError(
                f"`{name}` could not be loaded again from a file: it contains {unknown}, which "
                "Keras would not find. Decorate the class or function with "
                '@keras.saving.register_keras_serializable("my_package"), and import its module '
                "before loading."
            )
    _check_loss(network.loss, written["loss"])
    if alphas := _lora_alphas(network.model):
        written["lora_alpha"] = alphas
    if pictures is not None:
        written["pictures"] = dataclasses.asdict(pictures)
    return {
        **written,
        "batch_norm": network.batch_norm,
        "calibration": calibration and calibration.get_config(),
    }


def read_parts(config: dict[str, Any]) -> Parts:
    """What `write_parts` wrote, taken out of `config`."""
    model, algorithm, loss = (
        keras.saving.deserialize_keras_object(config.pop(name))
        for name in ("model", "algorithm", "loss")
    )
    _set_lora_alphas(model, config.pop("lora_alpha", {}))
    calibration = config.pop("calibration", None)  # missing in older files
    pictures = config.pop("pictures", None)
    return Parts(
        Network(model, loss, config.pop("batch_norm")),
        algorithm,
        calibration and Calibration.from_config(calibration),
        pictures and PictureInput(**{**pictures, "size": tuple(pictures["size"])}),
    )


def copied(model: keras.Model) -> keras.Model:
    """A copy of a model, with its weights."""
    same = copy.deepcopy(model)
    _set_lora_alphas(same, _lora_alphas(model))
    return same


def write_batch_with(folder: str, batch_with: Tensors | None) -> None:
    """Writes the inputs that share the batch of each input, if there are any."""
    if batch_with is not None:
        arrays = [np.asarray(array) for array in keras.tree.flatten(batch_with)]
        np.savez_compressed(Path(folder) / _BATCH_WITH, *arrays)


def read_batch_with(folder: str, spec: Tensors) -> Tensors | None:
    """What `write_batch_with` wrote, in the structure of the algorithm's `input_spec`."""
    path = Path(folder) / _BATCH_WITH
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return keras.tree.pack_sequence_as(spec, [arrays[name] for name in arrays.files])


def _lora_alphas(model: keras.Model) -> dict[str, Any]:
    """The scales of LoRA by layer number, for layers whose scale is not the rank.

    Keras writes `lora_alpha`, but uses the rank when it reads a layer.
    """
    return {
        str(i): layer.lora_alpha
        for i, layer in enumerate(model._flatten_layers())
        if getattr(layer, "lora_enabled", False) and layer.lora_alpha != layer.lora_rank
    }


def _set_lora_alphas(model: keras.Model, alphas: dict[str, Any]) -> None:
    """Sets the scales that `_lora_alphas` found."""
    layers = list(model._flatten_layers())
    for i, alpha in alphas.items():
        layers[int(i)].lora_alpha = alpha


def _check_loss(loss: Any, written: Any) -> None:
    """Raises ValueError if a loss has a setting that reading it again would lose."""
    settings = loss_settings(loss)
    if not settings:
        return
    again = loss_settings(keras.saving.deserialize_keras_object(written))
    for name, value in settings.items():
        if again.get(name) != value:
            raise ValueError(
                f"`loss` could not be loaded again from a file as it is: {type(loss).__name__} "
                f"does not save its setting {name!r}. Received: {name}={value!r}. Return it from "
                "the `get_config` of the loss, or pass your own function, registered with "
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
