"""One picture file, read by Pillow: upright, on white paper, in grey or in colour."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from meta_tf.tasks.picture_files import HEIC_CURE, KINDS, formats

_DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey level that cameras and scanners write
_SPARE = 4  # times the wanted size that a JPEG is decoded at, at least
_ONE_PICTURE = {"MPO", "PSD"}  # what else is in such a file is no other picture
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
_BAD_EXIF = (IndexError, KeyError, SyntaxError, TypeError, ValueError, struct.error)

WHITE_OF_16_BITS = 65535


class ImageFile(NamedTuple):
    """A file to decode: its `name`, for messages, and `read`, which gives its bytes."""

    name: str
    read: Callable[[], bytes]


class Picture(NamedTuple):
    """A decoded picture, and what it was like in its file.

    `pixels`: [height, width, channels], uint8, or float32 from 0 to 255 where the file has more
    than 256 levels of grey. A large JPEG is decoded at a fraction of its size.
    `size`: height and width in the file, upright.
    `colour`: whether it was stored in colour, be all of it grey.
    `transparent`: whether something of it was not opaque.
    `several`: whether the file holds more pictures than this one.
    `white`: the grey level that became 255, where that is another than 255.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    colour: bool
    transparent: bool = False
    several: bool = False
    white: int | None = None


class PictureReader:
    """Reads the pictures of one set.

    Grey levels of 16 bits are scaled by one number for all of the set: cameras and scanners
    write 10, 12 or 14 bits into 16, so white is the largest value of the fewest bits that hold
    all values of the set.

    Args:
      files: the set.
      size: height and width that are wanted; pictures are not resized to it here.
      channels: 1 (grey) or 3 (red, green, blue).
    """

    def __init__(self, files: Sequence[ImageFile], size: tuple[int, int], channels: int):
        self._files, self._channels = files, channels
        self._mode = "L" if channels == 1 else "RGB"
        self._enough = _SPARE * max(size)
        self._white: int | None = None  # of 16-bit grey; found with the first such picture

    def read(self, file: ImageFile) -> Picture:
        """Decodes a file.

        Raises:
          ValueError: if that cannot be done; it names the file.
        """
        picture = _decoded(file, self._picture)
        if picture.white is None:
            return picture
        if self._white is None:
            others = (_decoded(other, _most_of_deep) for other in self._files if other is not file)
            most = max(picture.white, *others, 0)
            self._white = next(2**bits - 1 for bits in _DEPTHS if most < 2**bits)
        levels = np.minimum(picture.pixels, self._white) * np.float32(255 / self._white)
        return picture._replace(pixels=levels, white=self._white)

    def _picture(self, image: Image.Image) -> Picture:
        stored, colour = image.size, not _is_grey(image)
        several = image.format not in _ONE_PICTURE and getattr(image, "is_animated", False)
        # A JPEG as grey, and at a half, a quarter or an eighth of its size if that is enough.
        smaller = image.draft(self._mode, (self._enough, self._enough)) is not None
        image.load()
        size = image.size
        with contextlib.suppress(*_BAD_EXIF):  # which says nothing, then
            ImageOps.exif_transpose(image, in_place=True)
        width, height = image.size
        if smaller:
            width, height = stored if image.size == size else (stored[1], stored[0])
        transparent, white = False, None
        if _is_deep(image):
            pixels = np.repeat(_levels(image)[..., np.newaxis], self._channels, -1)
            white = _most_of_deep(image)
        else:
            if image.has_transparency_data:
                image, transparent = _on_white(image)
            if image.mode != self._mode:
                image = image.convert(self._mode)
            # `np.asarray` would have Pillow write them twice.
            pixels = np.frombuffer(image.tobytes(), np.uint8)
            pixels = pixels.reshape(*image.size[::-1], self._channels)
        return Picture(pixels, (height, width), colour, transparent, several, white)


def _decoded(file: ImageFile, decode: Callable[[Image.Image], Any]) -> Any:
    content = file.read()
    try:
        # Nothing that Pillow warns of (a huge picture, odd EXIF) is of use here.
        with warnings.catch_warnings(action="ignore"):
            return decode(Image.open(io.BytesIO(content), formats=formats()))
    except Exception as error:  # what a damaged file makes of each of Pillow's many decoders
        raise _undecodable(file, content, error) from error


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or _is_deep(image)


def _is_deep(image: Image.Image) -> bool:
    """Whether a picture has more levels of grey than 256."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _most_of_deep(image: Image.Image) -> int:
    """The largest level of a picture of 16-bit grey; 0 for any other."""
    return int(_levels(image).max()) if _is_deep(image) else 0


def _levels(image: Image.Image) -> np.ndarray:
    """The levels of 16-bit grey, as float32."""
    levels = np.asarray(image)
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > WHITE_OF_16_BITS:
        raise ValueError(
            "its values are not those of 8 or 16 bits, so that it is unknown which is white; "
            f"write it anew with values from 0 to {WHITE_OF_16_BITS}"
        )
    if image.has_transparency_data:
        raise ValueError("it is grey of 16 bits with a transparent level; write it anew without")
    return levels.astype(np.float32)


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """A picture on white paper, and whether the paper shows."""
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    opaque = image.getchannel("A").getextrema() == (255, 255)
    return Image.alpha_composite(paper, image), not opaque


def _undecodable(file: ImageFile, content: bytes, error: Exception) -> ValueError:
    why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    cure = "Replace or delete it."
    if isinstance(error, UnidentifiedImageError):
        why = f"it is not one of the kinds {KINDS}"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        why, cure = "it is HEIC, whatever its name", HEIC_CURE
    if isinstance(error, Image.DecompressionBombError):
        cure = "Make it smaller, or delete it."
    return ValueError(f"Cannot decode the image {file.name} ({len(content)} bytes): {why}. {cure}")
