"""Learns classes from a few pictures of each, and names new pictures."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np

import meta_tf
from meta_tf import zoo
from meta_tf.command import pictures
from meta_tf.command.adaptation import Adaptation
from meta_tf.command.learners import load
from meta_tf.command.read_flags import trained_on
from meta_tf.data_checks.targets import classes_of
from meta_tf.files import whole_file, write_text
from meta_tf.run.devices import set_up_device


@dataclasses.dataclass(frozen=True)
class Pictures:
    """How to read the pictures.

    Args:
      invert: whether to invert light and dark. auto: for a shipped learner or one of Omniglot,
        which expect ink of 1 on a ground of 0, each picture that is mostly light.
    """

    invert: Literal["auto", "yes", "no"] = "auto"


EXAMPLES = """
  meta-tf adapt my_characters new_drawings --output=answers.csv
Each subfolder of SUPPORT is a class and holds its pictures: PNG, JPEG, GIF, WebP or BMP. Instead,
SUPPORT may hold one picture for each class, named after it. Pictures are resized to what the
learner takes. Each new picture is named by itself, whichever others are in its folder.
"""


def run(asked: Adaptation, how: Pictures) -> None:
    """Prints the class of each picture in `query`, and how sure the learner is of it."""
    if not asked.support or not asked.query:
        missing = "query" if asked.support else "support"
        raise ValueError(
            f"--{missing} is needed: meta-tf adapt SUPPORT QUERY, two folders of pictures."
        )
    set_up_device(asked.device)
    classes = pictures.classes_in(Path(asked.support), "support")
    query = pictures.pictures_in(Path(asked.query), "query")
    learner = load(asked.learner)
    size, channels = _takes(learner, asked.learner)
    _check_ways(learner, classes.names, asked.learner)
    x = pictures.read_pictures([*classes.pictures, *query], size, channels)
    x = pictures.inverted(x, _invert(asked, how))
    if learner.network.largest_pixel == 255:  # which it then was given in training, too
        x = 255 * x
    support_x, query_x = np.split(x, [len(classes.pictures)])
    labels = np.array(classes.labels)
    fitted = learner.adapt(support_x, labels, asked.eval_steps, _different(classes.names))
    # What is said of one picture shall not depend on which others are asked about.
    predictions = fitted.predict_one_by_one(query_x, company=support_x)
    sure = probabilities(predictions, len(classes.names), learner)
    names = [pictures.shown_name(path.name) for path in query]
    print(table(names, classes.names, sure))
    if asked.output:
        write_text(asked.output, as_csv(names, classes.names, sure))
        print(f"Written to {asked.output}.")
    if asked.save:
        with whole_file(asked.save) as part:
            fitted.save(part)
        print(f"Saved to {asked.save}; its first outputs are {', '.join(classes.names)}.")


def probabilities(outputs: np.ndarray, classes: int, learner: meta_tf.MetaLearner) -> np.ndarray:
    """How likely each class is, [Q, classes]; outputs beyond the classes that there are go."""
    outputs = outputs[:, :classes].astype("float64")
    if learner.network.loss.get_config().get("from_logits", True):
        outputs = np.exp(outputs - outputs.max(-1, keepdims=True))
    return outputs / outputs.sum(-1, keepdims=True)


def table(names: Sequence[str], classes: Sequence[str], sure: np.ndarray) -> str:
    """The answers as a table for the screen."""
    rows = [("picture", "class", "confidence")]
    for name, row in zip(names, sure, strict=True):
        rows.append((name, classes[row.argmax()], f"{100 * row.max():.1f} %"))
    wide = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(f"{a:<{wide[0]}}   {b:<{wide[1]}}   {c:>{wide[2]}}" for a, b, c in rows)


def as_csv(names: Sequence[str], classes: Sequence[str], sure: np.ndarray) -> str:
    """The answers as csv: picture, class, confidence, and the probability of every class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "class", "confidence", *(f"p({name})" for name in classes)])
    for name, row in zip(names, sure, strict=True):
        writer.writerow([name, classes[row.argmax()], *(f"{p:.6f}" for p in (row.max(), *row))])
    return text.getvalue()


def _different(names: Sequence[str]) -> Sequence[str] | None:
    """The names, unless signs that are no text have made two of them the same."""
    return names if len(set(names)) == len(names) else None


def _takes(learner: meta_tf.MetaLearner, name: str | Path) -> tuple[tuple[int, int], int]:
    """Height and width, and channels, of the pictures that a learner takes."""
    shape = getattr(learner.model, "input_shape", None)
    numbers = shape[1:] if isinstance(shape, tuple) else ()
    if len(numbers) != 3 or None in numbers or numbers[-1] not in (1, 3):
        raise ValueError(
            "--learner must take pictures [height, width, 1 or 3] of a fixed size. Received: "
            f"--learner={name}, whose model takes {shape}."
        )
    return (numbers[0], numbers[1]), numbers[2]


def _check_ways(learner: meta_tf.MetaLearner, classes: Sequence[str], name: str | Path) -> None:
    """Raises ValueError unless the learner tells classes apart, as many as there are."""
    loss = learner.network.loss
    if not isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        raise ValueError(
            f"--learner must tell classes apart. Received: --learner={name}, which was trained "
            f"with the loss {getattr(loss, 'name', loss)}."
        )
    ways = classes_of(learner.algorithm, learner.network)
    if ways and len(classes) > ways:
        raise ValueError(
            f"--support may hold {ways} classes at most for --learner={name}. Received: "
            f"{len(classes)} classes, {', '.join(classes)}. Take a learner of more ways: one of "
            f"{', '.join(zoo.names())}, or train one."
        )


def _invert(asked: Adaptation, how: Pictures) -> str:
    """Which pictures to invert: with auto, light ones for a learner of ink that is 1 on 0."""
    if how.invert != "auto":
        return how.invert
    of_ink = asked.learner in zoo.characters()
    return "light" if of_ink or "--task=omniglot" in trained_on(asked.learner) else "no"
