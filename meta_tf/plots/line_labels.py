"""Labels of lines at their ends, beside the axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

_SIZE = 9  # points
_GAP = 1.15 * _SIZE / 72  # inches from one label to the next


class LineEnd(NamedTuple):
    """The end of a line, in data units, with its name and colour."""

    name: str
    x: float
    y: float
    colour: Any


def label_ends(axes: Axes, ends: Sequence[LineEnd], inches: float) -> None:
    """Writes each line's name to the right of the axes, connected to its end by a thin line.

    Call it when scales and limits are final. A clipped line is labelled where it is clipped. The
    axes are about this many `inches` high.
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
    """Moves heights apart until no two are closer than `gap`, keeping their order.

    Heights that are far enough apart do not move; of the others, some move up and some down.
    Heights that would exceed 1 are moved down, along with those below them.

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
    # Both keep the gap, and so does their mean.
    placed = [(a + b) / 2 for a, b in zip(up, down, strict=True)]
    ceiling = 1.0
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed
