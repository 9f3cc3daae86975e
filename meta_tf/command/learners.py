"""Loads a trained learner by its name, its file or its run's folder."""

from __future__ import annotations

import re
from pathlib import Path

import keras

import meta_tf
from meta_tf import zoo


def load(learner: str | Path | None, flag: str = "learner") -> meta_tf.MetaLearner:
    """Loads a learner, without its optimiser, by its name, its file or its run's folder.

    Raises:
      ValueError: if there is none, or the file contains something else.
    """
    if not learner:
        raise ValueError(f"--{flag} is needed: {_choices()}.")
    if learner in zoo.names():
        return meta_tf.pretrained(str(learner))
    path = Path(learner).expanduser()
    path = path / "learner.keras" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"--{flag} must be {_choices()}. Received: --{flag}={learner}.")
    try:
        loaded = keras.models.load_model(path, compile=False)
    except (TypeError, ValueError) as error:
        why = loading_error(error)
        cure = ""
        if flag == "learner":
            cure = (
                " If Keras does not find a custom class, give the module that defines it: "
                "--import=package.module."
            )
        raise ValueError(f"--{flag}={learner} cannot be loaded: {why}{cure}") from error
    if not isinstance(loaded, meta_tf.MetaLearner):
        raise ValueError(
            f"--{flag} must be a saved meta_tf.MetaLearner. Received: --{flag}={learner}, "
            f"which contains a {type(loaded).__name__}."
        )
    return loaded


def loading_error(error: Exception) -> str:
    """The sentence in Keras's message that says why it cannot load something."""
    inner = re.search(r"Could not locate \w+ '\w+'\.", str(error))
    return inner[0] if inner else str(error).split("\n")[0]


def _choices() -> str:
    return f"a .keras file, the folder of a run, or one of {', '.join(zoo.names())}"
