"""A trained learner by its name, its file or its run's folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import keras

import meta_tf
from meta_tf import zoo
from meta_tf.runs import outside


def load_learner(flags: argparse.Namespace) -> meta_tf.MetaLearner:
    """Loads the learner that `flags.learner` says, after the modules that `--import` names.

    Raises:
      ValueError: if there is none, or it is something else.
    """
    import_modules(flags)
    if not flags.learner:
        raise ValueError(f"--learner is needed: {_choices()}.")
    return load(flags.learner, "learner")


def import_modules(flags: argparse.Namespace) -> None:
    """Imports the modules that `--import` names: they define what a learner is made of."""
    for module in getattr(flags, "import"):
        outside.import_module("import", module)


def load(learner: str, flag: str) -> meta_tf.MetaLearner:
    """Loads a learner, without its optimiser, by its name, its file or its run's folder.

    Raises:
      ValueError: if there is none, or it is something else; it names the flag.
    """
    if learner in zoo.names():
        return meta_tf.pretrained(learner)
    path = Path(learner).expanduser()
    path = path / "learner.keras" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"--{flag} must be {_choices()}. Received: --{flag}={learner}.")
    try:
        loaded = keras.models.load_model(path, compile=False)
    except (TypeError, ValueError) as error:
        why = outside.loading_error(error)
        cure = ""
        if flag == "learner":
            cure = (
                " If classes of its own are missing, name the module that defines them: "
                "--import=package.module."
            )
        raise ValueError(f"--{flag}={learner} cannot be loaded: {why}{cure}") from error
    if not isinstance(loaded, meta_tf.MetaLearner):
        raise ValueError(
            f"--{flag} must be a saved meta_tf.MetaLearner. Received: --{flag}={learner}, "
            f"which holds a {type(loaded).__name__}."
        )
    return loaded


def _choices() -> str:
    return f"a .keras file, the folder of a run, or one of {', '.join(zoo.names())}"
