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
    for module in getattr(flags, "import"):
        outside.import_module("import", module)
    if not flags.learner:
        raise ValueError(f"--learner is needed: {_choices()}.")
    if flags.learner in zoo.names():
        return meta_tf.pretrained(flags.learner)
    path = Path(flags.learner).expanduser()
    path = path / "learner.keras" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"--learner must be {_choices()}. Received: --learner={flags.learner}.")
    try:
        learner = keras.models.load_model(path, compile=False)
    except (TypeError, ValueError) as error:
        why = outside.loading_error(error)
        raise ValueError(
            f"--learner={flags.learner} cannot be loaded: {why} If classes of its own are missing, "
            "name the module that defines them: --import=package.module."
        ) from error
    if not isinstance(learner, meta_tf.MetaLearner):
        raise ValueError(
            f"--learner must be a saved meta_tf.MetaLearner. Received: --learner={flags.learner}, "
            f"which holds a {type(learner).__name__}."
        )
    return learner


def _choices() -> str:
    return f"a .keras file, the folder of a run, or one of {', '.join(zoo.names())}"
