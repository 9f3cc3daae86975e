"""New pictures in a folder, whose subfolders may name their classes, and the answers for them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meta_tf.command.picture_answers import NONE, Answers, report
from meta_tf.files import whole_file, write_text
from meta_tf.learner.adapted_model import AdaptedModel
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import passed_over, pictures_in, pictures_of, shown_name
from meta_tf.tasks.images.picture_input import PictureInput

AT_ONCE = 32  # pictures in a pass of the network
_MOST_SHOWN = 60  # pictures in the figure
_SIDE = 112  # their pixels


class NewPictures(NamedTuple):
    """New pictures, their names, and their class numbers where their folder names a class.

    The number is N for a folder that is not a class, and None if the class is not known.
    """

    paths: list[Path]
    names: list[str]
    labels: list[int | None]


@dataclasses.dataclass(frozen=True)
class Told:
    """How to tell the answers.

    Args:
      unknown: whether to answer "none of these" for pictures unlike all classes, where the
        learner can.
      output: a csv file to write the predictions to.
      figure: a PNG or PDF file for a figure of the new pictures with their answers, mistakes
        first.
      json: whether to print one JSON object instead of text.
    """

    unknown: bool = True
    output: str | Path | None = None
    figure: str | Path | None = None
    json: bool = False

    def say(self, text: str) -> None:
        """Prints text, beside the JSON object if there is one."""
        print(text, file=sys.stderr if self.json else sys.stdout)


def new_pictures(folder: Path, classes: Sequence[str], told: Told) -> NewPictures:
    """Finds the pictures of a folder and, if one of its subfolders is named as a class, of these.

    Raises:
      ValueError: if there are none.
    """
    shown = sorted(folder.iterdir()) if folder.is_dir() else []
    folders = [path for path in shown if path.is_dir() and not path.name.startswith(".")]
    number = {name: i for i, name in enumerate(classes)}
    if not any(shown_name(path.name) in number for path in folders):
        paths = pictures_in(folder, "--query")
        return NewPictures(paths, [shown_name(path.name) for path in paths], [None] * len(paths))
    found: list[tuple[Path, str, int | None]] = []
    found += [(path, shown_name(path.name), None) for path in pictures_of(folder)]
    others: list[str] = []
    for part in folders:
        name = shown_name(part.name)
        pictures = pictures_of(part)
        label = number.get(name, len(classes))
        found += [(path, f"{name}/{shown_name(path.name)}", label) for path in pictures]
        others += [name] * (name not in number and bool(pictures))
    if others:
        told.say(f"No class has the name {', '.join(others)}: these pictures are {NONE}.")
    if not found:
        raise ValueError(f"--query must hold pictures. Received: {folder}, which has none.")
    return NewPictures([a for a, _, _ in found], [b for _, b, _ in found], [c for _, _, c in found])


def say_ignored(paths: Sequence[Path], told: Told) -> None:
    """Prints a line if the folders of these pictures have other files."""
    folders = {path.parent for path in paths}
    parents = {folder.parent for folder in folders}
    if left := passed_over(sorted(folders - parents)):
        told.say(left)


def as_files(paths: Sequence[Path]) -> list[ImageFile]:
    """Paths as files to decode."""
    return [ImageFile.at(path) for path in paths]


def inputs_of(
    images: Iterator[np.ndarray], embed: Callable[[np.ndarray], Any] | None = None
) -> np.ndarray:
    """Pictures as one array [n, ...], or what `embed` makes of some of them at a time."""
    parts = []
    while some := list(itertools.islice(images, AT_ONCE)):
        parts.append(np.stack(some) if embed is None else np.asarray(embed(np.stack(some))))
    return np.concatenate(parts)


def answers_of(
    fitted: AdaptedModel, classes: Sequence[str], new: NewPictures, x: np.ndarray, unknown: bool
) -> Answers:
    """The answers for new pictures, whose inputs for the model are `x`."""
    none = np.zeros(len(x), bool)
    if unknown and fitted.calibration is not None:
        probabilities, strange = fitted.predict_with_strangeness(x)
        none = strange > 0
    else:
        probabilities = fitted.predict_proba(x)
    found = probabilities[:, : len(classes)]
    found = found / found.sum(-1, keepdims=True)  # there may be outputs beyond the classes
    return Answers(new.names, list(classes), found, none, new.labels)


def tell(
    answers: Answers,
    new: NewPictures,
    told: Told,
    pictures: PictureInput,
    estimate: str,
    besides: dict[str, Any],
) -> None:
    """Prints the answers and a report, and writes the files.

    Args:
      answers: the answers for the new pictures.
      new: the new pictures.
      told: how to tell them.
      pictures: how the model takes pictures, for the figure.
      estimate: what to say of the accuracy if no class is known.
      besides: what else belongs into the JSON object.
    """
    confusion = answers.confusion
    if told.json:
        found = {**besides, "predictions": answers.as_json()}
        if confusion:
            found["measured"] = confusion.to_dict()
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(answers.table())
        if confusion or estimate:
            print("\n" + (report(confusion) if confusion else estimate))
    if told.output:
        write_text(told.output, answers.as_csv())
        told.say(f"Written to {told.output}.")
    if told.figure:
        _write_figure(answers, new, pictures, Path(told.figure))
        told.say(f"Drawn in {told.figure}.")


def _write_figure(answers: Answers, new: NewPictures, pictures: PictureInput, figure: Path) -> None:
    from meta_tf.plots import named_pictures  # needs matplotlib, which is optional
    from meta_tf.plots.named_pictures import order as order_of

    order = order_of(answers.predicted, answers.probabilities, answers.labels)
    order = order[:_MOST_SHOWN]
    files = as_files([new.paths[i] for i in order])
    drawn = decode_images(files, (_SIDE, _SIDE), pictures.channels, crop=pictures.crop)
    labels = [answers.labels[i] for i in order]
    found = named_pictures(
        drawn, answers.names, answers.predicted[order], answers.probabilities[order], labels
    )
    with whole_file(figure) as part:
        found.savefig(part)
