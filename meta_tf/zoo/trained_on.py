"""What the shipped learners of one data set have in common."""

from __future__ import annotations

from typing import NamedTuple


class TrainedOn(NamedTuple):
    """A data set, in the words of a learner's card, and how to make drawings look like it.

    Attributes:
      writing: the data set's key in the demo's words.
      tells: what a learner distinguishes.
      example: the word for one support example.
      takes: the pictures that a learner expects.
      data: the training data.
      tested: the number of test characters.
      never_shown: what the training data lacks.
      licence: the licence of the learner, and why it is permitted.
      pen: width of a round pen that imitates the data, in pixels of a 105 x 105 canvas.
      side: the longer side of a drawing there. docs/demo.md describes how both were fitted.
    """

    writing: str
    tells: str
    example: str
    takes: str
    data: str
    tested: int
    never_shown: str
    licence: str
    pen: float
    side: float


OMNIGLOT = TrainedOn(
    writing="alphabets",
    tells="handwritten characters",
    example="drawing",
    takes="float images [28, 28, 1], strokes 1 on a background of 0, with drawings that fill the "
    "image as Omniglot's do.",
    data="Omniglot (Lake et al. 2015), 1100 of its 1623 characters, each in four rotations; "
    "another 100 characters for validation.",
    tested=423,
    never_shown="scripts beyond Omniglot's fifty alphabets; print, photographs, shading, colour, "
    "other stroke widths.",
    licence="MIT, as Omniglot's.",
    pen=5.2,
    side=62.0,
)
CHINESE = TrainedOn(
    writing="chinese",
    tells="Chinese characters",
    example="picture",
    takes="float images [28, 28, 1], ink 1 on a background of 0, the character centred, its longer "
    "side 24 pixels.",
    data="9593 Chinese characters in eight to fourteen typefaces from Debian packages, five of "
    "them brush writing; another 300 characters for validation.",
    tested=375,
    never_shown="handwriting; other scripts; photographs, shading, colour.",
    licence="MIT. The typefaces have their own licences (Arphic Public License, GPL with font "
    "exceptions, SIL Open Font License, public domain); the learner contains none of their glyphs.",
    pen=5.0,
    side=85.0,
)


def trained_on(name: str) -> TrainedOn:
    """The data set of the shipped learner with that name."""
    return CHINESE if name.startswith("chinese") else OMNIGLOT
