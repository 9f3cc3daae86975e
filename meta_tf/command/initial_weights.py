"""`--initial_weights`: a run that begins with what another learner has learned."""

from __future__ import annotations

from pathlib import Path

import keras

import meta_tf
from meta_tf.command.learners import load
from meta_tf.network.layer_state import prepare_layers

# Weights that a line names; a transformer's blocks have dozens.
NAMED = 6


def take_weights(learner: meta_tf.MetaLearner, name: str | Path) -> None:
    """Gives a learner the weights of another one that have the same names and shapes.

    A line says which of its own begin anew, as a last layer for other classes does.

    Args:
      learner: the one whose weights are set.
      name: the other one: shipped with the library, a `.keras` file or a run's folder.

    Raises:
      ValueError: if there is no such learner, or none of its weights fits.
    """
    known = _by_name(load(name, "initial_weights"))
    own, anew = _by_name(learner), []
    for path, weight in own.items():
        if path in known and tuple(known[path].shape) == tuple(weight.shape):
            weight.assign(known[path])
        else:
            anew.append(path)
    prepare_layers(learner.model)  # such as `Normalization`, which computes with constants
    if len(anew) == len(own):
        theirs, ours = (f"{p} {list(w.shape)}" for p, w in (_first(known), _first(own)))
        raise ValueError(
            "--initial_weights must be a learner over the same network. Received: "
            f"--initial_weights={name}, whose first weight is {theirs}, where it is {ours} here. "
            "Set --model and its widths as for that one."
        )
    print(f"Beginning with the weights of {name}{_told(anew)}.", flush=True)


def _told(anew: list[str]) -> str:
    if not anew:
        return ""
    more = f" and {len(anew) - NAMED} more" if len(anew) > NAMED else ""
    return f"; anew: {', '.join(anew[:NAMED])}{more}"


def _by_name(learner: meta_tf.MetaLearner) -> dict[str, keras.Variable]:
    """The weights by their paths, without the names of the learner and of its model in front."""
    # Keras numbers the learners of a process, and leaves the model's name out after loading. As a
    # layer may have the model's name, it is the model's only if it is in front of all weights.
    own, model = f"{learner.name}/", f"{learner.model.name}/"
    if not all(w.path.removeprefix(own).startswith(model) for w in learner.model.weights):
        model = ""
    return {w.path.removeprefix(own).removeprefix(model): w for w in learner.weights}


def _first(weights: dict[str, keras.Variable]) -> tuple[str, keras.Variable]:
    return next(iter(weights.items()))
