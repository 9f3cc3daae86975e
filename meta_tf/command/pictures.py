"""Pictures of classes, and new ones, as a learner takes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import KINDS, passed_over, pictures_of


class Classes(NamedTuple):
    """The classes' names, in the order of their numbers; pictures, and the class of each."""

    names: list[str]
    pictures: list[Path]
    labels: list[int]


def pictures_in(folder: Path, flag: str) -> list[Path]:
    """The pictures of a folder, by name; hidden files and those of other kinds are passed over.

    Raises:
      ValueError: if there are none.
    """
    _check_folder(folder, flag)
    found = pictures_of(folder)
    if not found:
        raise ValueError(
            f"--{flag} must be a folder of pictures ({KINDS}). Received: {folder}, which holds "
            "none."
        )
    return found


def classes_in(folder: Path, flag: str) -> Classes:
    """The classes of a folder: its subfolders, or else its pictures, one a class.

    Raises:
      ValueError: if there are fewer than two, a subfolder has no picture, or both kinds are there.
    """
    _check_folder(folder, flag)
    shown = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    folders = [path for path in shown if path.is_dir()]
    loose = pictures_of(folder)
    if folders and loose:
        raise ValueError(
            f"--{flag} must hold subfolders, one a class, or pictures, one a class. Received: "
            f"{folder}, which holds both: the folder {folders[0].name} and {loose[0].name}."
        )
    by_class = {path.name: pictures_in(path, flag) for path in folders}
    by_class = by_class or {path.stem: [path] for path in loose}
    if len(by_class) < 2:
        raise ValueError(
            f"--{flag} must hold two subfolders or more, one a class. Received: {folder}, with "
            f"{len(by_class)}."
        )
    files = [path for paths in by_class.values() for path in paths]
    labels = [i for i, paths in enumerate(by_class.values()) for _ in paths]
    return Classes([shown_name(name) for name in by_class], files, labels)


def shown_name(name: str) -> str:
    """A file's name as text, with a sign in place of what is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def read_pictures(paths: Sequence[Path], size: tuple[int, int], channels: int) -> np.ndarray:
    """The pictures as numbers from 0 to 1, [n, height, width, channels], resized.

    Where they lose size or colour, a line is printed; another counts files that are no pictures.
    """
    files = [ImageFile(str(path), path.read_bytes) for path in paths]
    if left := passed_over(sorted({path.parent for path in paths})):
        print(left)
    conversion = Conversion(size, channels)
    images = decode_images(files, size, channels, conversion)
    if told := conversion.told():
        print(f"{told} That is what the learner takes.")
    return images.astype("float32") / 255


def inverted(pictures: np.ndarray, invert: str) -> np.ndarray:
    """Turns light and dark round, 1 - x.

    Args:
      pictures: numbers from 0 to 1, [n, height, width, channels].
      invert: `"yes"` for all, `"no"` for none, `"light"` for those that are mostly light (a
        median over 0.5), as ink on paper is.
    """
    if invert == "light":
        light = np.median(pictures, axis=(1, 2, 3), keepdims=True) > 0.5
        return np.where(light, 1 - pictures, pictures)
    return 1 - pictures if invert == "yes" else pictures


def _check_folder(folder: Path, flag: str) -> None:
    if not folder.is_dir():
        raise ValueError(
            f"--{flag} must be a folder. Received: {folder}, looked for in {Path.cwd()}."
        )
