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
from meta_tf.command.adaptation import Adaptation
from meta_tf.command.learners import load
from meta_tf.command.read_flags import trained_on
from meta_tf.data_checks.targets import classes_of
from meta_tf.files import whole_file, write_text
from meta_tf.learner.company import feels_company
from meta_tf.run.devices import set_up_device
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_classes import classes_in, pictures_in, shown_name
from meta_tf.tasks.images.picture_files import passed_over
from meta_tf.tasks.images.picture_input import Invert, PictureInput


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
    classes = classes_in(Path(asked.support), "--support")
    query = pictures_in(Path(asked.query), "--query")
    learner = load(asked.learner)
    takes = _takes(learner, asked.learner)
    learner.pictures = dataclasses.replace(takes, invert=_invert(asked, how, takes))
    _check_ways(learner, classes.names, asked.learner)
    x = read(learner.pictures, [*classes.pictures, *query])
    support_x, query_x = np.split(x, [len(classes.pictures)])
    labels = np.array(classes.labels)
    fitted = learner.adapt(support_x, labels, asked.eval_steps, _different(classes.names))
    # The answer for a picture must not depend on the other new pictures.
    fitted.company = support_x if feels_company(learner.network) else None
    predictions = fitted.predict_one_by_one(query_x)
    sure = probabilities(predictions, len(classes.names), learner)
    names = [shown_name(path.name) for path in query]
    print(table(names, classes.names, sure))
    if asked.output:
        write_text(asked.output, as_csv(names, classes.names, sure))
        print(f"Written to {asked.output}.")
    if asked.save:
        with whole_file(asked.save) as part:
            fitted.save(part)
        print(f"Saved to {asked.save}; its first outputs are {', '.join(classes.names)}.")


def read(pictures: PictureInput, paths: Sequence[Path]) -> np.ndarray:
    """Reads pictures, and prints a line if they lose size or colour, or files are ignored."""
    if left := passed_over(sorted({path.parent for path in paths})):
        print(left)
    conversion = Conversion(pictures.size, pictures.channels, pictures.crop)
    files = [ImageFile(str(path), path.read_bytes) for path in paths]
    images = pictures.decoded(files, conversion)
    if told := conversion.told():
        print(f"{told} That is what the learner takes.")
    return images


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


def _takes(learner: meta_tf.MetaLearner, name: str | Path) -> PictureInput:
    """How a learner takes pictures."""
    if learner.pictures is None:
        raise ValueError(
            "--learner must take pictures [height, width, 1 or 3] of a fixed size. Received: "
            f"--learner={name}, whose model takes {getattr(learner.model, 'input_shape', None)}."
        )
    return learner.pictures


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


def _invert(asked: Adaptation, how: Pictures, takes: PictureInput) -> Invert:
    """Which pictures to invert: with auto, light ones for a learner of ink that is 1 on 0."""
    if how.invert != "auto":
        return how.invert
    return "light" if "--task=omniglot" in trained_on(asked.learner) else takes.invert
