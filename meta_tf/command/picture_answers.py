"""The answers for new pictures: predicted, printed and written as a table, CSV, JSON or figure."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meta_tf.command.new_pictures import NONE, NewPictures
from meta_tf.evaluation.confusion import Confusion
from meta_tf.files import check_writable, whole_file, write_text
from meta_tf.learner.adapted_model import AdaptedModel
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_input import PictureInput

_MOST_DRAWN = 60  # pictures in the figure
_SIDE = 112  # their pixels


@dataclasses.dataclass(frozen=True)
class Output:
    """What to answer, print and write.

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

    def check(self) -> None:
        """Raises ValueError or ImportError if the files could not be written at the end."""
        if self.output:
            check_writable("--output", self.output, ".csv", any_case=True)
        if self.figure:
            kinds = ".png", ".jpg", ".pdf", ".svg"
            check_writable("--figure", self.figure, *kinds, any_case=True)
            import meta_tf.plots  # noqa: F401 - needs matplotlib, which is optional

    def note(self, text: str) -> None:
        """Prints a line, to stderr if stdout gets the JSON object."""
        print(text, file=sys.stderr if self.json else sys.stdout)


class Answer(NamedTuple):
    """The answer for one picture; `true` is its class, None if that is not known."""

    picture: str
    name: str
    nearest: str
    confidence: float
    probabilities: Sequence[float]
    true: str | None


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers for new pictures.

    Args:
      new: the pictures.
      classes: the names of the classes.
      probabilities: of each class, [Q, N].
      predicted: the number of the predicted class of each picture, [Q]; N for none of them.
    """

    new: NewPictures
    classes: Sequence[str]
    probabilities: np.ndarray
    predicted: np.ndarray

    @property
    def names(self) -> list[str]:
        """The names of the classes, and that of none of them."""
        return [*self.classes, NONE]

    @property
    def confusion(self) -> Confusion | None:
        """The answers beside the labels; None without labels."""
        known = [i for i, label in enumerate(self.new.labels) if label is not None]
        labels = [label for label in self.new.labels if label is not None]
        return Confusion.of(self.names, labels, self.predicted[known]) if known else None

    def __iter__(self) -> Iterator[Answer]:
        names = self.names
        for picture, number, row, label in zip(
            self.new.names, self.predicted, self.probabilities, self.new.labels, strict=True
        ):
            nearest, true = self.classes[row.argmax()], None if label is None else names[label]
            yield Answer(picture, names[number], nearest, row.max(), row, true)

    def table(self) -> str:
        """The answers as a table for the screen; ✓ and ✗ where the class is known."""
        rows = [("", "picture", "class", "confidence")]
        for answer in self:
            mark = "" if answer.true is None else "✓" if answer.true == answer.name else "✗"
            confidence = f"{100 * answer.confidence:.1f} %"
            if answer.name == NONE:
                confidence = f"nearest {answer.nearest}"
            rows.append((mark, answer.picture, answer.name, confidence))
        first = 0 if any(row[0] for row in rows) else 1
        *wide, last = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(
            "   ".join([*map(str.ljust, row, wide), row[-1].rjust(last)][first:]) for row in rows
        )

    def as_csv(self) -> str:
        """The answers as CSV: picture, class, confidence, the probability of every class.

        A last column, `true`, contains the class where it is known.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        probabilities = [f"p({name})" for name in self.classes]
        last = ["true"] if self.confusion else []
        writer.writerow(["picture", "class", "confidence", *probabilities, *last])
        for one in self:
            numbers = [f"{p:.6f}" for p in (one.confidence, *one.probabilities)]
            writer.writerow([one.picture, one.name, *numbers, *([one.true or ""] if last else [])])
        return text.getvalue()

    def as_json(self) -> list[dict[str, Any]]:
        """The answers for JSON."""
        found = []
        for one in self:
            rounded = [round(float(p), 6) for p in one.probabilities]
            known = {} if one.true is None else {"true": one.true}
            found.append(
                {
                    "picture": one.picture,
                    "class": None if one.name == NONE else one.name,
                    "confidence": max(rounded),
                    "probabilities": dict(zip(self.classes, rounded, strict=True)),
                    **known,
                }
            )
        return found


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
    return Answers(new, list(classes), found, np.where(none, len(classes), found.argmax(-1)))


def show(
    answers: Answers, output: Output, takes: PictureInput, estimate: str, facts: dict[str, Any]
) -> None:
    """Prints the answers and a report, and writes the files.

    Args:
      answers: the answers for the new pictures.
      output: what to print and write.
      takes: how the model takes pictures, for the figure.
      estimate: the expected accuracy in words, printed if no class is known.
      facts: further entries of the JSON object.
    """
    confusion = answers.confusion
    if output.json:
        measured = {"measured": confusion.to_dict()} if confusion else {}
        found = {**facts, "predictions": answers.as_json(), **measured}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(answers.table())
        if report := _report(confusion) if confusion else estimate:
            print(f"\n{report}")
    if output.output:
        write_text(output.output, answers.as_csv())
        output.note(f"Written to {output.output}.")
    if output.figure:
        with warnings.catch_warnings(record=True) as caught:
            _write_figure(answers, takes, Path(output.figure))
        missing = any("Glyph" in str(one.message) for one in caught)
        boxes = " Boxes are letters that no installed font has." if missing else ""
        output.note(f"Drawn in {output.figure}.{boxes}")


def _report(confusion: Confusion) -> str:
    """What is right, and a confusion matrix if something is not."""
    line = f"{confusion.in_words()}."
    return line if confusion.right == confusion.number else f"{line}\n\n{confusion}"


def _write_figure(answers: Answers, takes: PictureInput, path: Path) -> None:
    from meta_tf.plots import named_pictures  # needs matplotlib, which is optional
    from meta_tf.plots.named_pictures import order, title_of

    labels, sure = answers.new.labels, answers.probabilities
    drawn = order(answers.predicted, sure, labels)[:_MOST_DRAWN]
    files = [ImageFile.at(answers.new.paths[i]) for i in drawn]
    pictures = decode_images(files, (_SIDE, _SIDE), takes.channels, crop=takes.crop)
    title = title_of(answers.predicted, labels)
    if len(drawn) < len(labels):
        title += f"; {len(drawn)} of {len(labels)} pictures"
    predicted, known = answers.predicted[drawn], [labels[i] for i in drawn]
    figure = named_pictures(pictures, answers.names, predicted, sure[drawn], known, title)
    with whole_file(path) as part:
        figure.savefig(part)
