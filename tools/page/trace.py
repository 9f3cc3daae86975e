"""Recovers the paths of a pen from a drawing's pixels: thins its lines and walks along them.

Omniglot's archives of pictures contain no paths. The pen's order and speed are lost, but the
page's pictures depend only on where the ink is.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

Point = tuple[float, float]  # from the left and from the top, as fractions of the picture
Stroke = list[Point]
_Pixel = tuple[int, int]  # row and column
_Graph = dict[_Pixel, set[_Pixel]]

_AROUND = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]  # clockwise
_STRAIGHT_ON = 4  # number of previous pixels that define the direction at a crossing
_TOLERANCE = 0.6  # largest distance, in pixels, of a line from the pixels that it replaces


def strokes_of(ink: np.ndarray) -> list[Stroke]:
    """The paths of a pen that would leave this ink.

    Args:
      ink: the picture, [size, size] of bool.

    Returns:
      Strokes, each a list of points.
    """
    size = len(ink)
    graph = _graph(thinned(ink))
    walks = [_simplified(np.array(walk, "float64")) for walk in _walks(graph)]
    return [[((x + 0.5) / size, (y + 0.5) / size) for y, x in walk] for walk in walks]


def thinned(ink: np.ndarray) -> np.ndarray:
    """Thins lines to one pixel with the method of Zhang and Suen (1984)."""
    ink = np.pad(ink.astype(bool), 1)
    while True:
        before = ink.sum()
        for odd in (False, True):
            ink = ink & ~_removable(ink, odd)
        if ink.sum() == before:
            return ink[1:-1, 1:-1]


def _removable(ink: np.ndarray, odd: bool) -> np.ndarray:
    """Edge pixels, of alternating sides, that can be removed without breaking a line."""
    around = np.stack([np.roll(ink, (-row, -column), (0, 1)) for row, column in _AROUND])
    count = around.sum(0)
    changes = (~around & np.roll(around, -1, 0)).sum(0)
    up, _, right, _, down, _, left, _ = around
    kept = up & left & (right | down) if odd else right & down & (up | left)
    return ink & (count >= 2) & (count <= 6) & (changes == 1) & ~kept


def _graph(lines: np.ndarray) -> _Graph:
    """Neighbouring pixels; diagonal ones only if no third pixel connects the two."""
    pixels = {(int(row), int(column)) for row, column in np.argwhere(lines)}
    graph: _Graph = {pixel: set() for pixel in pixels}
    for row, column in pixels:
        for down, right in _AROUND:
            other = (row + down, column + right)
            corners = {(row + down, column), (row, column + right)}
            if other in pixels and not (down and right and corners & pixels):
                graph[row, column].add(other)
    return graph


def _walks(graph: _Graph) -> list[list[_Pixel]]:
    """Walks over all edges, each once: first from ends, then from crossings, then on loops."""
    left = defaultdict(set, {pixel: set(others) for pixel, others in graph.items()})
    walks = [[pixel] for pixel in sorted(graph) if not graph[pixel]]  # dots
    starts = sorted(graph, key=lambda pixel: (len(graph[pixel]) != 1, len(graph[pixel]) < 3, pixel))
    for start in starts:
        while left[start]:
            walk = [start]
            while left[walk[-1]]:
                here = walk[-1]
                there = _next(walk, left[here])
                left[here].discard(there)
                left[there].discard(here)
                walk.append(there)
            walks.append(walk)
    return walks


def _next(walk: list[_Pixel], others: set[_Pixel]) -> _Pixel:
    """The next pixel for a pen, which continues straight on."""
    here = np.array(walk[-1])
    came = here - np.array(walk[max(0, len(walk) - 1 - _STRAIGHT_ON)])

    def straightness(other: _Pixel) -> tuple[float, _Pixel]:
        step = np.array(other) - here
        return float(came @ step / np.linalg.norm(step)), other

    return max(others, key=straightness)


def _simplified(points: np.ndarray) -> np.ndarray:
    """Fewer points, with lines close to all others (Douglas and Peucker, 1973)."""
    if len(points) < 3:
        return points
    start, along = points[0], points[-1] - points[0]
    length = np.linalg.norm(along)
    offsets = points - start
    if length:
        distances = abs(offsets[:, 0] * along[1] - offsets[:, 1] * along[0]) / length
    else:
        distances = np.linalg.norm(offsets, axis=1)
    farthest = int(distances.argmax())
    if distances[farthest] <= _TOLERANCE:
        return points[[0, -1]]
    before, after = _simplified(points[: farthest + 1]), _simplified(points[farthest:])
    return np.concatenate([before[:-1], after])
