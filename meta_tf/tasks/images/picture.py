"""Reads a picture file with Pillow: upright, on a white background, in grey or in colour."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from meta_tf.tasks.images.picture_files import HEIC_CURE, KINDS, formats

_DEPTHS = (8, 10, 12, 14, 16)  # bits of a grey level that cameras and scanners write
_SPARE = 3  # a JPEG is decoded at this many times the requested size or more
_ONE_PICTURE = {"MPO", "PSD"}  # the other content of such a file is not another picture
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
_BAD_EXIF = (IndexError, KeyError, SyntaxError, TypeError, ValueError, struct.error)

WHITE_OF_16_BITS = 65535


class ImageFile(NamedTuple):
    """A picture to decode: its `name`, for messages, and `read`, for its bytes or a PIL picture."""

    name: str
    read: Callable[[], bytes | Image.Image]

    @classmethod
    def at(cls, path: Path) -> ImageFile:
        """The file at a path."""
        return cls(str(path), path.read_bytes)


class Picture(NamedTuple):
    """A decoded picture, and its properties in its file.

    `pixels`: [height, width, channels], uint8, or float32 from 0 to 255 if the file has more
    than 256 grey levels. A large JPEG is decoded at a fraction of its size. `size`: height and
    width in the file, upright. `colour`: whether it is stored in colour, even if all of it is grey.
    `transparent`: whether part of it is transparent. `several`: whether the file contains more
    pictures. `white`: the grey level that became 255, if it is not 255.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    colour: bool
    transparent: bool = False
    several: bool = False
    white: int | None = None


class PictureReader:
    """Reads the pictures of one set, in grey or colour; it does not resize them to `size`.

    All 16-bit grey levels of the set are scaled by the same number: cameras and scanners
    write 10, 12 or 14 bits into 16, so white is the largest value of the fewest bits that hold
    all values of the `files`, unless `white` gives it.
    """

    def __init__(
        self,
        files: Sequence[ImageFile],
        size: tuple[int, int],
        channels: int,
        white: int | None = None,
    ):
        self._files, self._channels = files, channels
        self._mode = "L" if channels == 1 else "RGB"
        self._enough = _SPARE * max(size)
        self._white = white  # for 16-bit grey; found with the first such picture

    def read(self, file: ImageFile) -> Picture:
        """Decodes a file, or raises ValueError, which names it."""
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
        stored, grey = image.size, image.mode in ("1", "L", "LA", "La") or _is_deep(image)
        several = image.format not in _ONE_PICTURE and getattr(image, "is_animated", False)
        # Decodes a JPEG in grey, and at a half, a quarter or an eighth of its size if sufficient.
        smaller = image.draft(self._mode, (self._enough, self._enough)) is not None
        image.load()
        size = image.size
        with contextlib.suppress(*_BAD_EXIF):  # then EXIF is ignored
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
            # `np.asarray` would make Pillow write them twice.
            pixels = np.frombuffer(image.tobytes(), np.uint8)
            pixels = pixels.reshape(*image.size[::-1], self._channels)
        return Picture(pixels, (height, width), not grey, transparent, several, white)


def _decoded(file: ImageFile, decode: Callable[[Image.Image], Any]) -> Any:
    content = file.read()
    try:
        # Pillow's warnings (a huge picture, odd EXIF) are not useful here.
        with warnings.catch_warnings(action="ignore"):
            return decode(_opened(content))
    except Exception as error:  # Pillow's decoders raise many kinds of errors for damaged files
        raise _undecodable(file, content, error) from error


def _opened(content: bytes | Image.Image) -> Image.Image:
    """A picture that `decode` may change."""
    if not isinstance(content, Image.Image):
        return Image.open(io.BytesIO(content), formats=formats())
    copied = content.copy()
    copied.format = content.format  # a copy loses it
    return copied


def _is_deep(image: Image.Image) -> bool:
    """Whether a picture has more than 256 grey levels."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _most_of_deep(image: Image.Image) -> int:
    """The largest level of a 16-bit grey picture; 0 for any other."""
    return int(_levels(image).max()) if _is_deep(image) else 0


def _levels(image: Image.Image) -> np.ndarray:
    """The levels of 16-bit grey, as float32."""
    levels = np.asarray(image)
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > WHITE_OF_16_BITS:
        raise ValueError(
            "its values are not those of 8 or 16 bits, so the level of white is unknown; "
            f"write it again with values from 0 to {WHITE_OF_16_BITS}"
        )
    if image.has_transparency_data:
        raise ValueError("it is 16-bit grey with a transparent level; write it again without")
    return levels.astype(np.float32)


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """A picture on a white background, and whether the background shows."""
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    opaque = image.getchannel("A").getextrema() == (255, 255)
    return Image.alpha_composite(paper, image), not opaque


def _undecodable(file: ImageFile, content: bytes | Image.Image, error: Exception) -> ValueError:
    why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    cure = "Replace or delete it."
    if isinstance(error, UnidentifiedImageError):
        why = f"its format is not one of {KINDS}"
    if isinstance(content, Image.Image):
        return ValueError(f"Cannot read {file.name} ({content!r}): {why}.")
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        why, cure = "it is HEIC, whatever its name", HEIC_CURE
    if isinstance(error, Image.DecompressionBombError):
        cure = "Make it smaller, or delete it."
    return ValueError(f"Cannot decode the image {file.name} ({len(content)} bytes): {why}. {cure}")
