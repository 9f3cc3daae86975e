"""The page's description of a learner, which does not depend on the algorithm's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from meta_tf.algorithms import InnerLoop, ProtoNet
from meta_tf.data_checks.targets import classes_of
from meta_tf.learner import MetaLearner
from meta_tf.zoo import OMNIGLOT, TrainedOn

MOST_WAYS = 5  # the most symbols that fit on the page
_MOST_COLUMNS = 4  # in the table of steps


class Shown(NamedTuple):
    """A learner on the page.

    Attributes:
      learner: a classifier of drawings: pictures [size, size, 1], ink 1 on 0.
      name: its name on the page.
      trained_on: the data set of a shipped learner; None for another one. The page makes
        drawings look like that data set, or like Omniglot if None.
    """

    learner: MetaLearner
    name: str
    trained_on: TrainedOn | None = None


def check_learner(shown: Shown) -> None:
    """Raises ValueError unless a learner classifies square greyscale pictures."""
    learner, name, _ = shown
    shape = getattr(learner.model, "input_shape", None)
    sizes = shape[1:] if isinstance(shape, tuple) else ()
    if len(sizes) != 3 or None in sizes or sizes[0] != sizes[1] or sizes[2] != 1:
        raise ValueError(
            "`learner` must take square greyscale drawings, [size, size, 1]. Received: "
            f"{name}, whose model takes {shape}."
        )
    if not isinstance(learner.network.loss, keras.losses.SparseCategoricalCrossentropy):
        raise ValueError(
            f"`learner` must be a classifier. Received: {name}, which was trained with the "
            f"loss {getattr(learner.network.loss, 'name', learner.network.loss)}."
        )


def steps_shown(learner: MetaLearner) -> list[int]:
    """The numbers of inner steps that the page compares; [0] for an algorithm without any.

    The last is the learner's own number.
    """
    last = learner.algorithm.steps_to_evaluate()
    if not isinstance(learner.algorithm, InnerLoop) or last < 2:
        return [last]
    columns = min(_MOST_COLUMNS, last)
    return sorted({round(1 + i * (last - 1) / (columns - 1)) for i in range(columns)})


def manifest(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The content of `manifest.json`, from the `entry` of each learner.

    Returns:
      `learners`, the entries; the page starts with the first. `ways`, the number of classes
      that the page offers: as many as every learner distinguishes.
    """
    return {"ways": min(entry["ways"] for entry in entries), "learners": list(entries)}


def entry(shown: Shown, after: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The page's description of one learner.

    Args:
      shown: the learner.
      after: for each number of inner steps that the page shows: `steps`, the file that adapts
        with that number (`adapt`), and the file that predicts afterwards (`predict`). The
        learner's own number comes last.

    Returns:
      `learner`: its name. `writing`: the training data of a shipped learner, or None. `pen`
      and `side`: the pen width and size of its drawings. `size`: of its pictures. `ways`: the
      most classes that the page may offer. `company`: whether a single new drawing must be
      predicted in one batch with the support drawings. `shows`: how the page explains an
      answer: `"steps"`, `"distances"` with their `scale`, or `"confidence"` only. `after`: as
      passed.
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
        "ways": min(MOST_WAYS, classes_of(learner.algorithm, learner.network) or MOST_WAYS),
        "company": learner.network.batch_norm == "transductive",
        "shows": shows,
        "scale": getattr(algorithm, "scale", 1.0),
        "after": list(after),
    }
