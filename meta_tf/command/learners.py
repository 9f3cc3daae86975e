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
    if not learner:
        raise ValueError(f"--{flag} is needed: {_choices()}.")
    if learner in zoo.names():
        return meta_tf.pretrained(str(learner))
    path = Path(learner).expanduser()
    path = path / "learner.keras" if path.is_dir() else path
    return load_saved(path, flag, meta_tf.MetaLearner, _choices(), str(learner))


def load_saved(
    path: Path, flag: str, kind: type[Saved], choices: str, given: str | None = None
) -> Saved:
    """Loads a `.keras` file, without an optimiser.

    Args:
      path: the file.
      flag: the flag that names it, for errors.
      kind: what it must hold, `MetaLearner` or `AdaptedModel`.
      choices: what the flag may name, for errors.
      given: the flag's value; the path if None.

    Raises:
      ValueError: if there is no such file, or it holds something else; it names the flag.
    """
    given = str(path) if given is None else given
    if not path.expanduser().is_file():
        raise ValueError(f"--{flag} must be {choices}. Received: --{flag}={given}.")
    try:
        loaded = keras.models.load_model(path.expanduser(), compile=False)
    except (TypeError, ValueError) as error:
        why = loading_error(error)
        cure = ""
        if flag != "initial_weights":
            cure = (
                " If Keras does not find a custom class, give the module that defines it: "
                "--import=package.module."
            )
        raise ValueError(f"--{flag}={given} cannot be loaded: {why}{cure}") from error
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


def _choices() -> str:
    return f"a .keras file, the folder of a run, or one of {', '.join(zoo.names())}"
