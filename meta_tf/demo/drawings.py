"""The page of drawings: the learners' files, and their description in `manifest.json`."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from meta_tf.algorithms import InnerLoop, ProtoNet
from meta_tf.data_checks.outputs import classes_of
from meta_tf.demo.shown import Shown
from meta_tf.files import temporary_folder
from meta_tf.learner import MetaLearner
from meta_tf.zoo import OMNIGLOT

MOST_WAYS = 5  # the most symbols that fit on the page
_MOST_COLUMNS = 4  # in the table of steps


def check(shown: Sequence[Shown]) -> None:
    """Raises ValueError unless all learners classify square greyscale pictures."""
    for each in shown:
        sizes = each.pictures
        if sizes is None or None in sizes or sizes[0] != sizes[1] or sizes[2] != 1:
            raise ValueError(
                "`learner` must take square greyscale drawings, [size, size, 1], or photographs "
                f"in colour. Received: {each.takes}."
            )
        loss = each.learner.network.loss
        if not isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
            raise ValueError(
                f"`learner` must be a classifier. Received: {each.name}, which was trained with "
                f"the loss {getattr(loss, 'name', loss)}."
            )


def write(shown: Sequence[Shown], folder: Path) -> dict[str, Any]:
    """Writes the learners' files, each into a subfolder; returns the content of `manifest.json`.

    `learners`: the `entry` of each; the page starts with the first. `ways`: the number of classes
    that the page offers, as many as every learner distinguishes.
    """
    entries = []
    for i, each in enumerate(shown, 1):
        (folder / f"learner{i}").mkdir()
        numbers = steps_shown(each.learner)
        after = [_write_steps(each.learner, n, folder, f"learner{i}") for n in numbers]
        entries.append(entry(each, after))
    return {"ways": min(entry["ways"] for entry in entries), "learners": entries}


def steps_shown(learner: MetaLearner) -> list[int]:
    """The numbers of inner steps that the page compares; [0] for an algorithm without any.

    The last is the learner's own number.
    """
    last = learner.algorithm.steps_to_evaluate()
    if not isinstance(learner.algorithm, InnerLoop) or last < 2:
        return [last]
    columns = min(_MOST_COLUMNS, last)
    return sorted({round(1 + i * (last - 1) / (columns - 1)) for i in range(columns)})


def entry(shown: Shown, after: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The page's description of one learner, which does not depend on the algorithm's name.

    `learner`: its name. `writing`: the training data of a shipped learner, or None. `pen` and
    `side`: the pen width and size of its drawings. `size`: of its pictures. `ways`: the most
    classes that the page may offer. `batch_with`: whether a single new drawing must be predicted in
    one batch with the support drawings. `shows`: how the page explains an answer: `"steps"`,
    `"distances"` with their `scale`, or `"confidence"` only. `calibration`: as in `Shown`.
    `after`: for each number of inner steps that the page shows, the learner's own number last:
    `steps`, the file that adapts with that number (`adapt`), and the one that predicts (`predict`).
    """
    learner, algorithm = shown.learner, shown.learner.algorithm
    shows = "steps" if isinstance(algorithm, InnerLoop) else "confidence"
    if isinstance(algorithm, ProtoNet):
        shows = "distances"
    calibration = shown.calibration
    if calibration and getattr(algorithm, "distance", None) != "euclidean":
        calibration["spread"] = None  # the page sees no distances
    drawn = shown.trained_on or OMNIGLOT
    return {
        "learner": shown.name,
        "writing": shown.trained_on.writing if shown.trained_on else None,
        "pen": drawn.pen,
        "side": drawn.side,
        "size": learner.model.input_shape[1],
        "ways": min(MOST_WAYS, classes_of(learner.algorithm, learner.network) or MOST_WAYS),
        "batch_with": learner.network.batch_norm == "transductive",
        "shows": shows,
        "scale": getattr(algorithm, "scale", 1.0),
        "calibration": calibration,
        "after": list(after),
    }


def _write_steps(learner: MetaLearner, steps: int, part: Path, name: str) -> dict[str, Any]:
    """Writes the files that adapt with `steps` inner steps and then predict; returns their names.

    Each pair comes from one export, because the two must use the same names for weights.
    """
    names = {signature: f"{name}/{signature}_{steps}.onnx" for signature in ("adapt", "predict")}
    with temporary_folder() as temporary:
        exported = temporary / "learner"
        _in_steps(learner, steps).export(exported, format="onnx")
        for signature, path in names.items():
            shutil.copyfile(exported / f"{signature}.onnx", part / path)
    return {"steps": steps, **names}


def _in_steps(learner: MetaLearner, steps: int) -> MetaLearner:
    """The same learner with another number of inner steps."""
    algorithm = learner.algorithm
    if not isinstance(algorithm, InnerLoop) or algorithm.steps_to_evaluate() == steps:
        return learner
    changed = dataclasses.replace(algorithm, eval_steps=steps)
    written = keras.saving.serialize_keras_object(changed)
    again = MetaLearner.from_config({**learner.get_config(), "algorithm": written})
    again.set_weights(learner.get_weights())
    return again
