"""Names of lines at their ends, beside the axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

_SIZE = 9  # points
_GAP = 1.15 * _SIZE / 72  # inches from one label to the next


class LineEnd(NamedTuple):
    """Where a line ends, in the data's own units, its name and its colour."""

    name: str
    x: float
    y: float
    colour: Any


def label_ends(axes: Axes, ends: Sequence[LineEnd], inches: float) -> None:
    """Writes each line's name to the right of the axes, a thin line leading to it.

    To be called when scales and limits are final. A line that leaves the picture is named
    where it leaves.

    Args:
      axes: the axes.
      ends: the lines' ends.
      inches: height of the axes, about.
    """
    to_axes = axes.transScale + axes.transLimits
    with np.errstate(all="ignore"):
        points = [np.nan_to_num(to_axes.transform((e.x, e.y)), nan=1.0) for e in ends]
    points = [np.clip(point, 0.0, 1.0) for point in points]
    heights = spread([float(y) for _, y in points], _GAP / inches)
    for end, point, height in zip(ends, points, heights, strict=True):
        axes.annotate(
            end.name,
            point,
            xytext=(1.03, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=end.colour,
            fontsize=_SIZE,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": end.colour,
                "lw": 0.7,
                "ls": ":",
                "shrinkA": 1,
                "shrinkB": 3,
            },
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Moves heights apart until no two are nearer than `gap`, in the order that they have.

    Those that are far enough from each other stay where they are; of those that are not, some
    move up and some down. What would rise above 1 pushes the ones below it down.

    Example:
      >>> spread([0.5, 0.5, 0.0], gap=0.25)
      [0.375, 0.625, 0.0]
      >>> spread([1.0, 0.875], gap=0.25)
      [1.0, 0.75]
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    up, down = list(heights), list(heights)
    for low, high in itertools.pairwise(order):
        up[high] = max(up[high], up[low] + gap)
    for high, low in itertools.pairwise(reversed(order)):
        down[low] = min(down[low], down[high] - gap)
    # Both keep the distances, and so does the mean of the two.
    placed = [(a + b) / 2 for a, b in zip(up, down, strict=True)]
    ceiling = 1.0
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
