"""`--initial_weights`: starts a run from the weights of another learner."""

from __future__ import annotations

from pathlib import Path

import keras

import meta_tf
from meta_tf.command.learners import load
from meta_tf.network.layer_state import prepare_layers

NAMED = 6  # the most weights that a line lists


def take_weights(learner: meta_tf.MetaLearner, name: str | Path) -> None:
    """Copies the weights that have the same name and shape from another learner.

    Prints which weights it does not copy, such as those of a last layer for other classes.

    Args:
      learner: the learner whose weights are set.
      name: the other learner: a shipped one, a `.keras` file or a run's folder.

    Raises:
      ValueError: if there is no such learner, or none of its weights fits.
    """
    known = _by_name(load(name, "initial_weights"))
    own, not_copied = _by_name(learner), []
    for path, weight in own.items():
        if path in known and tuple(known[path].shape) == tuple(weight.shape):
            weight.assign(known[path])
        else:
            not_copied.append(path)
    prepare_layers(learner.model)  # such as `Normalization`, which derives constants
    if len(not_copied) == len(own):
        theirs, ours = (f"{p} {list(w.shape)}" for p, w in (_first(known), _first(own)))
        raise ValueError(
            "--initial_weights must be a learner with the same network. Received: "
            f"--initial_weights={name}, whose first weight is {theirs}; here it is {ours}. Set "
            "--model and its sizes to those of that learner."
        )
    print(f"Starting from the weights of {name}{_listed(not_copied)}.", flush=True)


def _listed(not_copied: list[str]) -> str:
    if not not_copied:
        return ""
    more = f" and {len(not_copied) - NAMED} more" if len(not_copied) > NAMED else ""
    return f"; not copied: {', '.join(not_copied[:NAMED])}{more}"


def _by_name(learner: meta_tf.MetaLearner) -> dict[str, keras.Variable]:
    """The weights by path, without the names of the learner and of its model."""
    # Keras numbers the learners of a process, and omits the model's name after loading. A layer can
    # have the model's name too, so it is the model's only if all paths begin with it.
    own, model = f"{learner.name}/", f"{learner.model.name}/"
    if not all(w.path.removeprefix(own).startswith(model) for w in learner.model.weights):
        model = ""
    return {w.path.removeprefix(own).removeprefix(model): w for w in learner.weights}


def _first(weights: dict[str, keras.Variable]) -> tuple[str, keras.Variable]:
    return next(iter(weights.items()))
