"""What the shipped learners of one data set have in common."""

from __future__ import annotations

from typing import NamedTuple


class TrainedOn(NamedTuple):
    """A data set, in the words of a learner's card, and how drawings come to look like it.

    Attributes:
      writing: what the demo's words call it.
      tells: what a learner tells apart.
      example: what one support example is called.
      takes: the pictures that a learner expects.
      data: what trained it.
      tested: how many characters test it.
      never_shown: what it does not know.
      licence: under which it is shipped, and why that can be.
      pen: width of a round pen that writes like it, in pixels of a paper of 105 x 105.
      side: the longer side of a drawing there. Both are fitted, as docs/demo.md tells.
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
    takes="images [28, 28, 1] of floats, strokes 1 on a ground of 0, the drawing filling the image "
    "as Omniglot's do.",
    data="Omniglot (Lake et al. 2015), 1100 of its 1623 characters, each in four turns; another "
    "100 characters to choose by.",
    tested=423,
    never_shown="scripts beyond Omniglot's fifty alphabets; print, photographs, shading, colour, "
    "other widths of stroke.",
    licence="MIT, as Omniglot's.",
    pen=5.2,
    side=62.0,
)
CHINESE = TrainedOn(
    writing="chinese",
    tells="Chinese characters",
    example="picture",
    takes="images [28, 28, 1] of floats, ink 1 on a ground of 0, in the middle, its longer side "
    "24 pixels.",
    data="9593 Chinese characters in eight to fourteen typefaces of Debian's packages, five of "
    "them written by brush; another 300 characters to choose by.",
    tested=375,
    never_shown="anybody's handwriting; other scripts; photographs, shading, colour.",
    licence="MIT. The typefaces have licences of their own (Arphic Public License, GPL with font "
    "exceptions, SIL Open Font License, public domain); no glyph of them is in it.",
    pen=5.0,
    side=85.0,
)


def trained_on(name: str) -> TrainedOn:
    """The data set of the shipped learner of that name."""
    return CHINESE if name.startswith("chinese") else OMNIGLOT
