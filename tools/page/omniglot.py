"""Omniglot's drawings as paths of a pen, by character."""

from __future__ import annotations

import functools
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tools.page.trace import Stroke, strokes_of

HALVES = ("images_background", "images_evaluation")


class Drawings:
    """Drawings by the character names of `meta_tf.tasks.Omniglot`.

    Args:
      data_dir: the folder of the two archives.
    """

    def __init__(self, data_dir: Path):
        self._archives = {half: zipfile.ZipFile(data_dir / f"{half}.zip") for half in HALVES}
        self._files: dict[str, list[str]] = defaultdict(list)
        for archive in self._archives.values():
            for name in sorted(archive.namelist()):
                if name.endswith(".png") and "__MACOSX" not in name:
                    self._files[name.rpartition("/")[0]].append(name)

    def file(self, character: str, number: int) -> tuple[str, Callable[[], bytes]]:
        """The file name of a drawing, and a function that reads it."""
        name = self._files[character][number]
        archive = self._archives[name.split("/")[0]]
        return name, functools.partial(archive.read, name)

    def ink(self, character: str, number: int) -> np.ndarray:
        """The ink of a drawing, [105, 105] of bool."""
        _, read = self.file(character, number)
        return tf.io.decode_png(read(), channels=1).numpy()[..., 0] < 128

    @functools.cache  # noqa: B019 (it lives as long as the program)
    def strokes(self, character: str, number: int) -> list[Stroke]:
        """Its strokes."""
        return strokes_of(self.ink(character, number))
