"""Loads a trained learner by its name, its file or its run's folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import keras

import meta_tf
from meta_tf import zoo

Saved = TypeVar("Saved", bound=keras.Model)


def load(learner: str | Path | None, flag: str = "learner") -> meta_tf.MetaLearner:
    """Loads a learner, without its optimiser, by its name, its file or its run's folder.

    Raises:
      ValueError: if there is none, or the file contains something else.
    """
    choices = f"a .keras file, the folder of a run, or one of {', '.join(zoo.names())}"
    if not learner:
        raise ValueError(f"--{flag} is needed: {choices}.")
    if learner in zoo.names():
        return meta_tf.pretrained(str(learner))
    return load_saved(learner, flag, meta_tf.MetaLearner, choices)


def load_saved(given: str | Path, flag: str, kind: type[Saved], choices: str) -> Saved:
    """Loads a `.keras` file, without an optimiser.

    Args:
      given: the file, or a run's folder with the file of its learner.
      flag: the flag that names it, for errors.
      kind: what it must hold, `MetaLearner` or `AdaptedModel`.
      choices: what the flag may name, for errors.

    Raises:
      ValueError: if there is no such file, or it holds something else; it names the flag.
    """
    path = Path(given).expanduser()
    path = path / "learner.keras" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"--{flag} must be {choices}. Received: --{flag}={given}.")
    try:
        loaded = keras.models.load_model(path, compile=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"--{flag}={given} cannot be loaded: {loading_error(error)} If Keras does not find a "
            "custom class, give the module that defines it: --import=package.module."
        ) from error
    if not isinstance(loaded, kind):
        raise ValueError(
            f"--{flag} must be a saved meta_tf.{kind.__name__}. Received: --{flag}={given}, "
            f"which contains a {type(loaded).__name__}."
        )
    return loaded


def loading_error(error: Exception) -> str:
    """The sentence in Keras's message that says why it cannot load something."""
    inner = re.search(r"Could not locate \w+ '\w+'\.", str(error))
    return inner[0] if inner else str(error).split("\n")[0]
