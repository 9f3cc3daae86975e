"""Typefaces from Debian packages, and characters drawn with them."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

from benchmarks.data.debian import file_of

SIZE = 28  # pixels, as in Omniglot's tasks
_DRAWN = 96  # drawn large and then shrunk, for smooth grey edges
_MARGIN = 2
_LEAST_INK = 0.01  # of all pixels; some glyphs exist but are empty


class Face(NamedTuple):
    """A typeface: its name here, its file, the file's digest, and whether it is brush writing."""

    name: str
    package: str
    path: str
    sha256: str
    brush: bool = False

    def read(self, deb: str | None = None) -> Any:
        """The typeface for Pillow; for a collection, the first one.

        Raises:
          ValueError: if the package cannot be fetched, or its file has another digest.
        """
        from PIL import ImageFont

        content = file_of(self.package, f"usr/share/fonts/{self.path}", self.sha256, deb)
        return ImageFont.truetype(io.BytesIO(content), _DRAWN)


def characters_of(face: Any) -> set[str]:
    """The CJK ideographs, U+4E00 to U+9FFF, listed in a typeface's own table."""
    from fontTools.ttLib import TTFont

    face.path.seek(0)
    table = TTFont(face.path, fontNumber=0, lazy=True).getBestCmap()
    return {chr(code) for code in table if 0x4E00 <= code <= 0x9FFF}


def draw(face: Any, character: str) -> Any | None:
    """A character as a grey picture of 28 pixels, white ink on black; None if there is no ink.

    The longer side of the ink fills the picture except for a margin of 2 pixels, and the ink is
    centred, so that size does not identify a typeface.
    """
    from PIL import Image, ImageDraw

    sheet = Image.new("L", (3 * _DRAWN, 3 * _DRAWN))
    ImageDraw.Draw(sheet).text((_DRAWN, _DRAWN), character, fill=255, font=face)
    box = sheet.getbbox()
    if box is None:
        return None
    ink = sheet.crop(box)
    inner = SIZE - 2 * _MARGIN
    scale = inner / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    picture = Image.new("L", (SIZE, SIZE))
    place = ((SIZE - size[0]) // 2, (SIZE - size[1]) // 2)
    picture.paste(ink.resize(size, Image.Resampling.BOX), place)
    inked = sum(picture.histogram()[128:])
    return picture if inked >= _LEAST_INK * SIZE * SIZE else None
