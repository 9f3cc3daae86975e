"""New pictures in a folder, whose subfolders may name their classes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meta_tf.checks import few
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import passed_over, pictures_in, pictures_of, shown_name
from meta_tf.tasks.images.picture_input import PictureInput

AT_ONCE = 32  # pictures in a pass of the network
NONE = "none of these"


class NewPictures(NamedTuple):
    """New pictures, their names, and their class numbers where their folder names a class.

    The number is N for a folder that is not a class, and None if the class is not known.
    """

    paths: list[Path]
    names: list[str]
    labels: list[int | None]


def new_pictures(folder: Path, classes: Sequence[str], note: Callable[[str], None]) -> NewPictures:
    """Finds the pictures of a folder and, if one of its subfolders is named as a class, of these.

    Args:
      folder: the folder, or a single picture.
      classes: the names of the classes.
      note: called with a line about subfolders that are not a class, and one about other files.

    Raises:
      ValueError: if there are none.
    """
    if folder.is_file():
        return NewPictures([folder], [shown_name(folder.name)], [None])
    if not folder.is_dir():
        raise ValueError(
            "--query must be a folder of pictures, or a picture. Received: "
            f"{folder}, looked for in {Path.cwd()}."
        )
    inside = sorted(folder.iterdir())
    folders = [path for path in inside if path.is_dir() and not path.name.startswith(".")]
    number = {shown_name(name): i for i, name in enumerate(classes)}
    if not any(shown_name(path.name) in number for path in folders):
        if folders and not pictures_of(folder):
            raise ValueError(
                f"--query must hold pictures, or subfolders with the names of classes: "
                f"{few(classes)}. Received: {folder}, with the subfolders "
                f"{few(shown_name(path.name) for path in folders)}."
            )
        paths = pictures_in(folder, "--query")
        note_ignored(paths, note)
        return NewPictures(paths, [shown_name(path.name) for path in paths], [None] * len(paths))
    new = NewPictures([], [], [])
    strangers: list[str] = []
    for part in (folder, *folders):
        name, pictures = shown_name(part.name), pictures_of(part)
        prefix, label = ("", None) if part is folder else (f"{name}/", number.get(name))
        if part is not folder and label is None:
            label = len(classes)
            strangers += [name] * bool(pictures)
        new.paths.extend(pictures)
        new.names.extend(f"{prefix}{shown_name(path.name)}" for path in pictures)
        new.labels.extend([label] * len(pictures))
    if strangers:
        note(f"No class has the name {', '.join(strangers)}: these pictures are {NONE}.")
    if not new.paths:
        raise ValueError(f"--query must hold pictures. Received: {folder}, which has none.")
    note_ignored(new.paths, note)
    return new


def note_ignored(paths: Sequence[Path], note: Callable[[str], None]) -> None:
    """Calls `note` with a line about other files in the folders of these pictures, if any."""
    folders = {path.parent for path in paths}
    parents = {folder.parent for folder in folders}
    if line := passed_over(sorted(folders - parents)):
        note(line)


def inputs_of(
    paths: Sequence[Path],
    takes: PictureInput,
    note: Callable[[str], None],
    embed: Callable[[np.ndarray], Any] | None = None,
    conversion: Conversion | None = None,
) -> np.ndarray:
    """Reads pictures as inputs of a model.

    Args:
      paths: the pictures.
      takes: how the model takes pictures.
      note: called with a line about what is lost.
      embed: called with some pictures [n, ...] at a time.
      conversion: counts what pictures lose.

    Returns:
      The pictures as one array, or what `embed` makes of them.
    """
    conversion = conversion or takes.conversion()
    images = takes.each([ImageFile.at(path) for path in paths], conversion)
    parts = []
    while some := list(itertools.islice(images, AT_ONCE)):
        parts.append(np.stack(some) if embed is None else np.asarray(embed(np.stack(some))))
    if lost := conversion.in_words():
        note(f"{lost} That is what the model takes.")
    return np.concatenate(parts)
