"""Whether pictures are strokes (ink on a flat ground) or photographs, by their pixels alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIDE = 64  # pixels of the squares that are measured

# Fitted on photographs of twelve public sets, on drawings made of curves, and on the same curves
# on unevenly lit, noisy paper.
_MOST_COLOUR = 0.09
_LEAST_BIMODALITY = 0.6
_MOST_INK = 0.15
_MOST_DEVIATION = 0.1
_LEAST_CONTRAST = 0.15


class Measures(NamedTuple):
    """Properties of pictures, an array [n] each; the threshold is Otsu's, in grey from 0 to 1.

    `colour`: mean distance of the channels from grey. `bimodality`: the share of the variance of
    grey that is between the two sides of the threshold. `ink`: the share of pixels on the side
    with fewer, which are ink; the others are the ground. `deviation`: standard deviation of the
    ground. `contrast`: distance of the means of ink and ground.
    """

    colour: np.ndarray
    bimodality: np.ndarray
    ink: np.ndarray
    deviation: np.ndarray
    contrast: np.ndarray


def measures(pictures: np.ndarray) -> Measures:
    """Measures pictures.

    Args:
      pictures: [n, height, width, 3], values from 0 to 255.

    Example:
      >>> page = np.full([1, 64, 64, 3], 255, np.uint8)
      >>> page[:, 10:20, 10:20] = 0
      >>> measures(page).ink.round(3), measures(page).contrast
      (array([0.024]), array([1.]))
    """
    pixels = np.asarray(pictures, np.float64).reshape(len(pictures), -1, 3) / 255
    grey = np.sort(pixels.mean(-1))
    colour = np.abs(pixels - pixels.mean(-1, keepdims=True)).mean((1, 2))
    # Otsu's threshold is between two neighbours in the sorted greys: the k darkest and the rest.
    number = grey.shape[1]
    k = np.arange(1, number)
    sums, squares = np.cumsum(grey, 1), np.cumsum(grey**2, 1)
    dark = sums[:, :-1] / k
    light = (sums[:, -1:] - sums[:, :-1]) / (number - k)
    between = k * (number - k) / number**2 * (dark - light) ** 2
    at = between.argmax(1)
    rows, below = np.arange(len(grey)), at + 1
    few = below < number / 2  # the dark side is the ink
    ink = np.where(few, below, number - below) / number
    dark, light = dark[rows, at], light[rows, at]
    dark_variance = squares[rows, at] / below - dark**2
    light_variance = (squares[:, -1] - squares[rows, at]) / (number - below) - light**2
    deviation = np.sqrt(np.maximum(np.where(few, light_variance, dark_variance), 0))
    bimodality = between[rows, at] / np.maximum(grey.var(1), 1e-6)
    return Measures(colour, bimodality, ink, deviation, light - dark)


def are_strokes(pictures: np.ndarray) -> np.ndarray:
    """Which pictures [n, height, width, 3] are strokes, [n] of bool."""
    m = measures(pictures)
    return (
        (m.colour < _MOST_COLOUR)
        & (m.bimodality > _LEAST_BIMODALITY)
        & (m.ink < _MOST_INK)
        & (m.deviation < _MOST_DEVIATION)
        & (m.contrast > _LEAST_CONTRAST)
    )
