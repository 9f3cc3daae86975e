"""Learns classes from a few pictures of each, and names new pictures."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import keras
import numpy as np

import meta_tf
from meta_tf import zoo
from meta_tf.command.learners import load
from meta_tf.command.new_pictures import inputs_of, new_pictures, note_ignored
from meta_tf.command.picture_answers import Output, answers_of, show
from meta_tf.command.read_flags import trained_on
from meta_tf.command.settings import Adaptation
from meta_tf.command.strokes import SIDE, are_strokes
from meta_tf.data_checks.outputs import classes_of
from meta_tf.evaluation.confusion import Confusion
from meta_tf.files import whole_file
from meta_tf.learner.class_names import distinct
from meta_tf.learner.embedded import embedding_of, embeds_separately, head_of, with_network
from meta_tf.learner.query_batch import depends_on_batch
from meta_tf.run.devices import set_up_device
from meta_tf.run.settings import AtLeast
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import Classes, classes_in
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.zoo.photos import PHOTOS

_MOST_MEASURED = 24  # pictures that decide between strokes and photographs
_MOST_LEFT_OUT = 200  # pictures of the estimate


@dataclasses.dataclass(frozen=True)
class Pictures:
    """How to read the pictures.

    Args:
      invert: whether to invert light and dark. auto: for a shipped learner of characters or one
        of Omniglot, which expect ink of 1 on a ground of 0, each picture that is mostly light.
      views: for photographs, views of each picture whose features are averaged: 1; 2 with its
        mirror image; 6 with its corners too. More are more accurate, and slower.
      backbone: for photographs, a network of keras.applications in place of the shipped one,
        such as MobileNetV2; Keras fetches its weights once.
    """

    invert: Literal["auto", "yes", "no"] = "auto"
    views: Annotated[int, AtLeast(1)] = 1
    backbone: str | None = None


EXAMPLES = """
  meta-tf adapt my_photos new_photos
  meta-tf adapt my_photos new.jpg
  meta-tf adapt my_characters new_drawings --output=answers.csv --save=adapted.keras
Each subfolder of SUPPORT is a class and holds its pictures, in any format that Pillow reads.
Instead, SUPPORT may hold one picture for each class, named after it. Subfolders of QUERY with the
names of classes are labels: the command then says how many answers are right. Each new picture
is named independently of the others.
"""


def run(asked: Adaptation, how: Pictures, output: Output) -> None:
    """Prints the class of each picture in `query`, and how sure the learner is of it."""
    set_up_device(asked.device, share_operations=True)
    classes = classes_in(Path(asked.support), "--support")
    note_ignored(classes.pictures, output.note)
    new = new_pictures(Path(asked.query), classes.names, output.note)
    name = asked.learner or (PHOTOS if how.backbone else "")
    if not name:
        name, why = chosen(classes)
        output.note(f"{why} The learner is {name}; --learner chooses another.")
    learner = _learner(name, how)
    takes = _takes(learner, classes.names, name)
    invert = takes.invert if how.invert == "auto" else how.invert
    if how.invert == "auto" and "--task=omniglot" in trained_on(name):  # its ink is 1 on 0
        invert = "light"
    learner.pictures = takes = dataclasses.replace(takes, invert=invert)

    contents = [_content(path) for path in classes.pictures]
    times = Counter(contents)
    sizes = {path.stat().st_size for path in classes.pictures}  # others need not be read for this
    if same := sum(p.stat().st_size in sizes and _content(p) in times for p in new.paths):
        output.note(
            f"{same} of the new pictures {'is' if same == 1 else 'are'} also learned from, so that "
            "the answers are more often right than for others."
        )
    paths = [*classes.pictures, *new.paths]
    separately = embeds_separately(learner)  # then each picture passes the network once
    works = head_of(learner) if separately else learner
    embed = embedding_of(learner) if separately else None
    conversion = takes.conversion(scaled_by=len(classes.pictures))
    x = inputs_of(paths, takes, output.note, embed, conversion)
    learner.pictures = takes = takes.after(conversion)
    support_x, query_x = np.split(x, [len(classes.pictures)])
    labels = np.array(classes.labels)
    fitted = works.adapt(support_x, labels, asked.eval_steps, distinct(classes.names))
    # The answer for a picture must not depend on the other new pictures.
    fitted.batch_with = support_x if depends_on_batch(learner.network) else None
    answers = answers_of(fitted, classes.names, new, query_x, output.unknown)
    estimate, expected = "", None
    if answers.confusion is None:
        alone = np.array([times[content] == 1 for content in contents])
        estimate, expected = _estimate(works, support_x, classes, alone, asked.eval_steps)
    facts = {"learner": str(name), "expected": expected and expected.to_dict()}
    show(answers, output, takes, estimate, facts)
    if asked.save:
        whole = with_network(learner, fitted) if separately else fitted
        with whole_file(asked.save) as part:
            whole.save(part)
        output.note(
            f"Saved to {asked.save}; meta-tf predict {asked.save} FOLDER names other pictures. Its "
            f"outputs are {', '.join(classes.names)}."
        )


def chosen(classes: Classes) -> tuple[str, str]:
    """The learner for pictures of classes, by their pixels, and the reason."""
    some = np.unique(np.linspace(0, len(classes.pictures) - 1, _MOST_MEASURED).astype(int))
    files = [ImageFile.at(classes.pictures[i]) for i in some]
    strokes = are_strokes(decode_images(files, (SIDE, SIDE), 3))
    number, of = int(strokes.sum()), len(strokes)
    if 2 * number > of:
        return "omniglot", f"{number} of {of} pictures are strokes on a flat ground."
    return PHOTOS, f"{of - number} of {of} pictures are photographs."


def _learner(name: str | Path, how: Pictures) -> meta_tf.MetaLearner:
    """The learner of this name, with the views and the network that the flags ask for."""
    if (how.views, how.backbone) == (1, None):
        return load(name)
    if name != PHOTOS:
        raise ValueError(
            f"--views and --backbone are only for --learner={PHOTOS}. Received: "
            f"--learner={name}. Leave them out, or add --learner={PHOTOS}."
        )
    return meta_tf.pretrained(PHOTOS, views=how.views, backbone=how.backbone)


def _content(path: Path) -> bytes:
    """A checksum of a file, the same for its copies under other names."""
    return hashlib.sha256(path.read_bytes()).digest()


def _estimate(
    learner: meta_tf.MetaLearner,
    support_x: np.ndarray,
    classes: Classes,
    alone: np.ndarray,
    steps: int | None,
) -> tuple[str, Confusion | None]:
    """The expected accuracy by leaving pictures out, in words and as counts.

    `alone`: which pictures have no copy, [S]. Others are not left out: their copies would stay.
    """
    labels = np.array(classes.labels)
    several = np.flatnonzero((np.bincount(labels)[labels] > 1) & alone)
    if not len(several):
        return "No estimate of the accuracy: it takes two different pictures of a class.", None
    some = np.unique(np.linspace(0, len(several) - 1, _MOST_LEFT_OUT).astype(int))
    which = several[some]
    outputs = meta_tf.leave_one_out(learner, support_x, labels, steps, which)
    predicted = outputs[:, : len(classes.names)].argmax(-1)
    found = Confusion.of(classes.names, labels[which].tolist(), predicted)
    low, high = (100 * value for value in found.interval)
    lines = [
        f"Expect about {100 * found.accuracy:.0f} % right (95 % interval {low:.0f} to "
        f"{high:.0f} %): of {found.number} pictures to learn from, {found.right} are named right "
        "after learning from the others."
    ]
    if single := [n for i, n in enumerate(classes.names) if classes.labels.count(i) == 1]:
        lines.append(f"Not in this estimate, with one picture each: {', '.join(single)}.")
    if copies := int((~alone).sum()):
        lines.append(f"Not in this estimate: {copies} pictures that are copies of each other.")
    if mixed := found.mixed_up_in_words():
        lines.append(f"Mixed up: {mixed}.")
    return "\n".join(lines), found


def _takes(learner: meta_tf.MetaLearner, classes: Sequence[str], name: str | Path) -> PictureInput:
    """How a learner takes pictures.

    Raises:
      ValueError: if it takes none, or does not distinguish as many classes.
    """
    if learner.pictures is None:
        raise ValueError(
            "--learner must take pictures [height, width, 1 or 3] of a fixed size. Received: "
            f"--learner={name}, whose model takes {getattr(learner.model, 'input_shape', None)}."
        )
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
    return learner.pictures
