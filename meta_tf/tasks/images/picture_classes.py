"""The pictures in a folder, and those of its classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from meta_tf.tasks.images.picture_files import KINDS, pictures_of


class Classes(NamedTuple):
    """The classes' names, in the order of their numbers; pictures, and the class of each."""

    names: list[str]
    pictures: list[Path]
    labels: list[int]


def pictures_in(folder: Path, name: str) -> list[Path]:
    """The pictures directly in a folder, in alphabetical order, without hidden and other files.

    Raises ValueError, which calls the folder `name`, if there are none or a format cannot be read.
    """
    _check_folder(folder, name)
    found = pictures_of(folder)
    if not found:
        raise ValueError(
            f"{name} must be a folder of pictures ({KINDS}). Received: {folder}, which has none. "
            "Put pictures directly into it."
        )
    return found


def classes_in(folder: Path, name: str) -> Classes:
    """The classes of a folder: its subfolders, or else its pictures, one for each class.

    Raises ValueError, which calls the folder `name`, if there are fewer than two classes, a
    subfolder has no picture, or both kinds are there.
    """
    _check_folder(folder, name)
    shown = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    folders = [path for path in shown if path.is_dir()]
    loose = pictures_of(folder)
    if folders and loose:
        raise ValueError(
            f"{name} must hold either subfolders or pictures, one for each class. Received: "
            f"{folder}, which holds both: the folder {folders[0].name} and {loose[0].name}."
        )
    by_class = {path.name: pictures_in(path, name) for path in folders}
    by_class = by_class or {path.stem: [path] for path in loose}
    if len(by_class) < 2:
        raise ValueError(
            f"{name} must hold at least two subfolders, one for each class. Received: {folder}, "
            f"with {len(by_class)}."
        )
    files = [path for paths in by_class.values() for path in paths]
    labels = [i for i, paths in enumerate(by_class.values()) for _ in paths]
    return Classes([shown_name(name) for name in by_class], files, labels)


def shown_name(name: str) -> str:
    """A file's name as text, with a replacement character for what is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _check_folder(folder: Path, name: str) -> None:
    if not folder.is_dir():
        raise ValueError(
            f"{name} must be a folder. Received: {folder}, looked for in {Path.cwd()}."
        )
