"""The page of photographs in a real browser: its speed, and whether it answers as Python does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = Path(__file__).with_suffix(".mjs")
# The frames of each class have one of these colours at their left edge, for `photographs.mjs`.
CODES = ([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255])
_FRAMES = 30  # of each picture: a second in Chromium


def film(pictures: Sequence[np.ndarray], path: Path) -> tuple[Path, list[list[int]]]:
    """Writes a video for Chromium's fake camera: the pictures, one class after the other.

    Args:
      pictures: for each of up to five classes, square pictures, uint8 [n, size, size, 3].
      path: the file, with the suffix `.mjpeg`.

    Returns:
      The path, and the colour at the left edge of each class's frames.
    """
    codes = list(CODES[: len(pictures)])
    with path.open("wb") as file:
        for number in range(min(len(each) for each in pictures)):
            for each, code in zip(pictures, codes, strict=True):
                frame = np.empty([480, 640, 3], np.uint8)
                frame[:] = code
                middle = Image.fromarray(each[number]).resize((480, 480))
                frame[:, 80:560] = np.asarray(middle)
                file.write(_FRAMES * _jpeg(frame))
    return path, codes


def _jpeg(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=90, subsampling=0)
    return content.getvalue()
