"""Makes a drawing of a sign look like a camera picture: tilted, shaded, blurred, noisy."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZE = 32
_SHEET = 128


def seen_by_a_camera(drawing: Any, rng: np.random.Generator) -> np.ndarray:
    """One view of a drawing.

    70 to 120 of 128 pixels high, each corner moved by up to 16 % of that, rotated by up to 12
    degrees, shifted by up to 12 pixels, on a background of coloured noise; then brightness 0.35
    to 1.3, contrast 0.5 to 1.2, blur of up to 3 pixels, shrunk, noise of up to 12 of 255.

    Args:
      drawing: a square picture of Pillow with an alpha channel.
      rng: the source of random numbers.

    Returns:
      uint8, [32, 32, 3].
    """
    from PIL import Image, ImageFilter

    sheet = _background(rng)
    sign = drawing.convert("RGBA").transform(
        (_SHEET, _SHEET),
        Image.Transform.PERSPECTIVE,
        _perspective(_corners(rng), drawing.size),
        Image.Resampling.BILINEAR,
    )
    sheet.paste(sign, (0, 0), sign)
    sheet = sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
    small = np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)
    small = (small - small.mean()) * rng.uniform(0.5, 1.2) + small.mean()
    small = small * rng.uniform(0.35, 1.3) + rng.normal(size=small.shape) * rng.uniform(0, 12)
    return np.clip(np.round(small), 0, 255).astype(np.uint8)


def _background(rng: np.random.Generator) -> Any:
    from PIL import Image

    coarse = rng.integers(0, 256, [8, 8, 3], dtype=np.uint8)
    return Image.fromarray(coarse).resize((_SHEET, _SHEET), Image.Resampling.BICUBIC)


def _corners(rng: np.random.Generator) -> np.ndarray:
    """The positions of the drawing's corners on the canvas, [4, 2]."""
    side = rng.uniform(70, 120)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2
    square = square + rng.uniform(-0.16, 0.16, [4, 2]) * side
    angle = np.radians(rng.uniform(-12, 12))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return square @ turn + _SHEET / 2 + rng.uniform(-12, 12, 2)


def _perspective(corners: np.ndarray, size: tuple[int, int]) -> list[float]:
    """Pillow's eight numbers, which map a position on the canvas to one in the drawing."""
    width, height = size
    places = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    rows = []
    for (x, y), (u, v) in zip(corners, places, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return np.linalg.solve(np.array(rows), places.ravel()).tolist()
