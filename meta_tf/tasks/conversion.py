"""What pictures lose when they are made equal in size and colour."""

from __future__ import annotations

import numpy as np


class Conversion:
    """Sizes and colours of pictures as they were stored, and what is made of them.

    Args:
      size: height and width that they are resized to.
      channels: 1 (grey) or 3 (colour).

    Example:
      >>> conversion = Conversion((28, 28), 1)
      >>> conversion.add(np.array([[28, 28], [40, 40]]), [False, True])
      >>> conversion.told()[-32:]
      ' are resized to 28 x 28 in grey.'
    """

    def __init__(self, size: tuple[int, int], channels: int):
        self._size, self._channels = size, channels
        self._sizes: set[tuple[int, int]] = set()
        self._pictures = self._colours = 0

    def add(self, sizes: np.ndarray, colours: list[bool]) -> None:
        """Counts pictures of the sizes [n, 2], height and width, and whether each has colours."""
        self._sizes |= {(int(height), int(width)) for height, width in sizes}
        self._pictures += len(colours)
        self._colours += sum(colours)

    def told(self) -> str:
        """One sentence on what is lost; empty if nothing is."""
        greyed = self._colours if self._channels == 1 else 0
        if not greyed and self._sizes <= {self._size}:
            return ""
        by_area = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        least, most = (f"{height} x {width}" for height, width in (by_area[0], by_area[-1]))
        sizes = least if len(by_area) == 1 else f"{least} to {most}"
        colour = ""
        if greyed:
            some = "all" if greyed == self._pictures else f"{greyed} of them"
            colour = f" {some} stored in colour,"
        (height, width) = self._size
        stretched = any(h * width != w * height for h, w in self._sizes)
        done = "stretched" if stretched else "resized"
        if self._sizes == {self._size}:
            done = "read"
        target = f"{done} {'as' if done == 'read' else 'to'} {height} x {width}"
        return (
            f"{self._pictures} pictures, of {sizes} pixels,{colour} are {target}"
            f"{' in grey' if greyed else ''}."
        )
