"""What the page has to know of a learner; it asks for no algorithm by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from meta_tf.algorithms import InnerLoop, ProtoNet
from meta_tf.learner import MetaLearner
from meta_tf.zoo import OMNIGLOT, TrainedOn

MOST_WAYS = 5  # as many as the page has room for
_MOST_COLUMNS = 4  # of a table of steps


class Shown(NamedTuple):
    """A learner of the page.

    Attributes:
      learner: what tells classes of drawings apart: pictures [size, size, 1], ink 1 on 0.
      name: what the page calls it.
      trained_on: the data set of a shipped one. A drawing becomes like those; for another
        learner, like Omniglot's.
    """

    learner: MetaLearner
    name: str
    trained_on: TrainedOn | None = None


def check_learner(shown: Shown) -> None:
    """Raises ValueError unless a learner tells classes of square grey pictures apart."""
    learner, name, _ = shown
    shape = getattr(learner.model, "input_shape", None)
    sizes = shape[1:] if isinstance(shape, tuple) else ()
    if len(sizes) != 3 or None in sizes or sizes[0] != sizes[1] or sizes[2] != 1:
        raise ValueError(
            "`learner` must take drawings, grey and square: [size, size, 1]. Received: "
            f"{name}, whose model takes {shape}."
        )
    if not isinstance(learner.network.loss, keras.losses.SparseCategoricalCrossentropy):
        raise ValueError(
            f"`learner` must tell classes apart. Received: {name}, which was trained with the "
            f"loss {getattr(learner.network.loss, 'name', learner.network.loss)}."
        )


def ways_of(learner: MetaLearner) -> int:
    """How many classes a learner tells apart, by the number of its outputs."""
    return learner.algorithm.prediction_size(learner.network) or learner.model.output_shape[-1]


def steps_shown(learner: MetaLearner) -> list[int]:
    """The numbers of inner steps that the page compares; [0] for an algorithm without any.

    The last is that of the learner's own.
    """
    last = learner.algorithm.steps_to_evaluate()
    if not isinstance(learner.algorithm, InnerLoop) or last < 2:
        return [last]
    columns = min(_MOST_COLUMNS, last)
    return sorted({round(1 + i * (last - 1) / (columns - 1)) for i in range(columns)})


def manifest(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of `manifest.json`, of what `entry` tells of each learner.

    Returns:
      `learners`, the entries, of which the page begins with the first; `ways`, how many
      classes it offers: as many as all of them tell apart.
    """
    return {"ways": min(entry["ways"] for entry in entries), "learners": list(entries)}


def entry(shown: Shown, after: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the page has to know of one learner.

    Args:
      shown: the learner.
      after: for each number of steps that is shown `steps`, and the files that learn in so
        many (`adapt`) and predict then (`predict`); the learner's own number last.

    Returns:
      `learner`, its name; `writing`, what trained it, if it is a shipped one; `pen` and
      `side`, of drawings as it knows them; `size`, of its pictures; `ways`, how many classes
      the page may offer; `company`, whether a single new drawing needs the learned ones beside
      it; `shows`, what the page tells of an answer: `"steps"`, `"distances"` with their
      `scale`, or `"confidence"` alone; `after`, as it is given.
    """
    learner, algorithm = shown.learner, shown.learner.algorithm
    shows = "steps" if isinstance(algorithm, InnerLoop) else "confidence"
    if isinstance(algorithm, ProtoNet):
        shows = "distances"
    drawn = shown.trained_on or OMNIGLOT
    return {
        "learner": shown.name,
        "writing": shown.trained_on.writing if shown.trained_on else None,
        "pen": drawn.pen,
        "side": drawn.side,
        "size": learner.model.input_shape[1],
        "ways": min(MOST_WAYS, ways_of(learner)),
        "company": learner.network.batch_norm == "transductive",
        "shows": shows,
        "scale": getattr(algorithm, "scale", 1.0),
        "after": list(after),
    }
