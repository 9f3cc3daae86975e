"""Finds the pictures among the files of a folder, and its classes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

KINDS = "PNG, JPEG, GIF, WebP, BMP, TIFF and others that Pillow reads"
# Pillow identifies these but does not decode them: it would need another program.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Pictures that Pillow does not read: to ignore them silently would be wrong.
_HEIC = {".heic", ".heif", ".hif"}
_UNREADABLE = _HEIC | {".svg", ".eps", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"}
_SHOWN = 3  # the number of names to list

HEIC_CURE = (
    "Pillow does not read HEIC, the format of Apple's cameras. Convert it to JPEG (an iPhone "
    "writes JPEG after Settings, Camera, Formats, Most Compatible), or run `pip install "
    "pillow-heif`, which is then used."
)


@functools.cache
def register_heif() -> None:
    """Lets Pillow read HEIC, if the package for that is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()


def formats() -> list[str]:
    """The formats that are read, by Pillow's names, the common ones first."""
    Image.init()
    register_heif()
    return [name for name in Image.ID if name not in _NOT_DECODED]


def endings() -> set[str]:
    """The file extensions of pictures, in lower case."""
    read = {*formats(), "MPO"}  # an MPO file is opened as JPEG
    return {end for end, format in Image.registered_extensions().items() if format in read}


def pictures_of(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by name, without hidden files and other files.

    Raises ValueError if one has a format that cannot be read.
    """
    known = endings()
    files = [f for f in _shown(folder) if f.is_file()]
    for file in files:
        ending = file.suffix.lower()
        if ending in _UNREADABLE and ending not in known:
            cure = HEIC_CURE if ending in _HEIC else "Convert it, to PNG for example, or move it."
            raise ValueError(f"Pictures must be {KINDS}. Received: {file}. {cure}")
    return [file for file in files if file.suffix.lower() in known]


def passed_over(folders: Sequence[Path], above: Path | None = None) -> str:
    """One sentence with the number and names of ignored files; empty if there are none.

    These are whatever is in the class folders except pictures, and pictures in their parent folder
    `above`. Hidden files never count.
    """
    known = endings()
    left = [] if above is None else [f for f in _shown(above) if f.suffix.lower() in known]
    for folder in folders:
        left += [f for f in _shown(folder) if f.suffix.lower() not in known or not f.is_file()]
    if not left:
        return ""
    names = ", ".join(f"{p.parent.name}/{p.name}{'/' * p.is_dir()}" for p in left[:_SHOWN])
    more = ", …" if len(left) > _SHOWN else ""
    are = "1 file is" if len(left) == 1 else f"{len(left)} files are"
    return f"{are} ignored (not a picture directly in a class folder): {names}{more}."


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
    """The classes of a folder: its subfolders, or else its pictures, each of the class of its name.

    Raises ValueError, which calls the folder `name`, if there are fewer than two classes, a
    subfolder has no picture, or both kinds are there.
    """
    _check_folder(folder, name)
    folders = [path for path in _shown(folder) if path.is_dir()]
    loose = pictures_of(folder)
    if folders and loose:
        raise ValueError(
            f"{name} must hold either subfolders or pictures, one for each class. Received: "
            f"{folder}, which holds both: the folder {folders[0].name} and {loose[0].name}."
        )
    by_class = {path.name: pictures_in(path, name) for path in folders}
    for path in loose:  # cap.jpg and cap.png are of one class
        by_class.setdefault(path.stem, []).append(path)
    if len(by_class) < 2:
        raise ValueError(
            f"{name} must hold at least two classes: a subfolder of pictures for each, or a "
            f"picture. Received: {folder}, with {len(by_class)}."
        )
    files = [path for paths in by_class.values() for path in paths]
    labels = [i for i, paths in enumerate(by_class.values()) for _ in paths]
    return Classes([shown_name(name) for name in by_class], files, labels)


def shown_name(name: str) -> str:
    """A file's name as text, with a replacement character for what is not UTF-8.

    Accented letters are single characters (NFC): macOS and Linux write the name "café" differently.
    """
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _check_folder(folder: Path, name: str) -> None:
    if not folder.is_dir():
        raise ValueError(
            f"{name} must be a folder. Received: {folder}, looked for in {Path.cwd()}."
        )


def _shown(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
