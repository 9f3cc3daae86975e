"""A folder of images, with one folder per class."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from meta_tf.checks import check_choice, check_integer, check_switch, few
from meta_tf.tasks.class_source import ClassData, ClassSource, Rotations, sizes_of_splits
from meta_tf.tasks.divide import split_by_fractions
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_cache import decoded_pictures, users_folder
from meta_tf.tasks.images.picture_files import passed_over, pictures_in
from meta_tf.tasks.sampler import TURNS
from meta_tf.tasks.size_range import SizeRange, ends_of
from meta_tf.tasks.source import SPLITS

_LARGE = 256 * 2**20  # bytes; larger sets stay on disk
_SPLIT_FOLDERS = {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)}


class ImageFolder(ClassSource):
    """Tasks from your own images, with one folder per class.

    If `path` contains `train`, `valid` (or `val`, `validation`) and `test`, these are the
    splits, with the class folders inside, each in one of them. Otherwise `path` contains the
    class folders, and `split` divides them. Pillow reads the pictures (PNG, JPEG, GIF, WebP,
    BMP, TIFF …; HEIC if `pillow-heif` is installed). They are rotated upright by their EXIF
    orientation. If a file contains several pictures, the first one is used. Transparent pictures
    are read on white, and 16-bit grey ones with the white of as many bits as the set needs. The
    images stay in memory as uint8, or on disk if they are many. A line is printed if they lose
    colour or size, and another with the number of files that are not pictures.

    Args:
      path: the folder.
      ways: N, classes per task. With a range `(2, 20)`, each task draws its own number,
        uniformly; likewise for `shots` and `queries`. See `meta_tf.types` for such batches.
      shots: K, support images per class.
      queries: query images per class; if None, as many as the smallest class allows, at most 15.
      size: height and width to resize to, in pixels, or one number for a square.
      channels: 1 for grey, 3 for colour.
      rotations: `"task"`, `"classes"` or `None`. Rotation by quarters makes more tasks
        if "up" has no meaning, and keeps four copies of the images.
      split: fractions of the classes for training, validation and test, used if `path` has no such
        folders. The split of a class depends only on the name of its folder.
      train_ways, train_shots: those of the training tasks; `ways` and `shots` if None.
      cache: whether to keep the decoded images in a file in the user's cache folder
        (`~/.cache/meta_tf` on Linux) and read them from there as they are drawn: `True`;
        `False` to keep them in memory; or `"auto"`, which uses the file for images that need at
        least 256 MB of memory, including rotated copies. The tasks are the same.
      scale: whether to scale pixels from 0 … 255 to [0, 1]. With False, they stay uint8, for
        a model that scales them itself, as most of `keras.applications` do.
      crop: whether to take the central part of each image that has the proportions of `size`, as
        usual for networks of photographs. False stretches the whole image.

    Raises:
      FileNotFoundError: if there is no such folder, or it contains no class folders.
      ValueError: if an image has an unsupported format or cannot be decoded, a class folder
        has too few images or a split too few classes, or a class is in several of the splits'
        folders; the message names it.

    Example:
      tasks = meta_tf.tasks.ImageFolder("my_images", ways=5, shots=1)
    """

    def __init__(
        self,
        path: str | Path,
        ways: SizeRange = 5,
        shots: SizeRange = 1,
        queries: SizeRange | None = None,
        size: int | tuple[int, int] = 28,
        channels: int = 1,
        rotations: Rotations = None,
        split: Sequence[float] = (0.64, 0.16, 0.20),
        train_ways: SizeRange | None = None,
        train_shots: SizeRange | None = None,
        cache: Literal["auto"] | bool = "auto",
        scale: bool = True,
        crop: bool = False,
    ):
        size = _check_size(size)
        check_choice("channels", channels, (1, 3))
        check_switch("scale", scale)
        check_switch("crop", crop)
        check_choice("cache", cache, ("auto", True, False))
        path = Path(path).expanduser()
        classes_of_splits = _classes_of_splits(path, split)
        names = sorted(name for names in classes_of_splits for name in names)
        _check_many(path, len(names), ends_of("ways", ways)[0])
        files = {
            name: [ImageFile.at(p) for p in pictures_in(path / name, "A class folder")]
            for name in names
        }
        counts = {name: len(of_class) for name, of_class in files.items()}
        # Before the pictures are read, which can take minutes.
        sizes_of_splits(counts, classes_of_splits, ways, shots, queries, train_ways, train_shots)
        if left := passed_over([path / name for name in names], above=path):
            print(left, flush=True)
        in_order = [file for of_class in files.values() for file in of_class]
        held = len(in_order) * math.prod(size) * channels * (1 if rotations is None else TURNS)
        folders, mark = [], ""
        if held >= _LARGE if cache == "auto" else cache:
            folders, mark = [_cache_folder(path, size, channels, crop)], _mark(files)
        images, losses = decoded_pictures(
            path,
            in_order,
            functools.partial(Conversion, size, channels, crop),
            folders,
            mark,
            "set `cache=False`",
        )
        if losses:
            print(f"{losses} `size` (--image_size), `channels` (--channels) change it.", flush=True)
        super().__init__(
            ClassData(images, np.array(list(counts.values())), list(counts)),
            classes_of_splits,
            ways=ways,
            shots=shots,
            queries=queries,
            rotations=rotations,
            train_ways=train_ways,
            train_shots=train_shots,
            scale=scale,
        )


def _cache_folder(path: Path, size: tuple[int, int], channels: int, crop: bool) -> Path:
    """Where the decoded pictures of a folder are kept."""
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return users_folder() / f"pictures-{size[0]}x{size[1]}x{channels}{'-cropped' * crop}-{digest}"


def _mark(files: Mapping[str, Sequence[ImageFile]]) -> str:
    """A digest of the names, sizes and modification times of pictures."""
    digest = hashlib.sha256()
    for name, of_class in files.items():
        digest.update(os.fsencode(name) + b"\n")
        for file in of_class:
            about = os.stat(file.name)
            digest.update(os.fsencode(os.path.basename(file.name)))
            digest.update(f" {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _check_many(path: Path, classes: int, ways: int) -> None:
    """Raises ValueError, before any picture is read, if there are too few classes for tasks."""
    if classes < 3 * ways:
        raise ValueError(
            f"{path} must hold many classes, at least `ways` = {ways} of them for each of "
            f"training, validation and test. Received: {classes} classes, which are one task. To "
            f"tell these apart, no training is needed: meta-tf adapt {path} NEW_PICTURES. To "
            "train for other classes to come, add classes, or lower `ways`."
        )


def _check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = size if isinstance(size, Sequence) and len(size) == 2 else (size, size)
    for side in (height, width):
        check_integer("size", side, at_least=1, why="height and width in pixels, or one for both")
    return height, width


def _classes_of_splits(path: Path, split: Sequence[float]) -> list[list[str]]:
    """The names of the class folders of the three splits, relative to `path`."""
    folders = set(_folders(path))
    found = {p: [n for n in _SPLIT_FOLDERS[p] if n in folders] for p in SPLITS}
    if all(len(names) == 1 for names in found.values()):
        return _of_split_folders(path, [found[p][0] for p in SPLITS])
    if found["train"] and found["test"]:
        raise FileNotFoundError(
            f"{path} contains the folders 'train' and 'test', so it must also contain exactly one "
            f"of {_SPLIT_FOLDERS['valid']}. Found of these: {found['valid']}. Move some of the "
            "class folders of 'train' there, as validation classes."
        )
    if not folders:
        raise FileNotFoundError(
            f"{path} must contain one folder per class, or train/, valid/ and test/ with class "
            "folders in them, but it contains no folder."
        )
    return split_by_fractions(sorted(folders), split)


def _of_split_folders(path: Path, splits: Sequence[str]) -> list[list[str]]:
    """The class folders in the folders of the splits; raises ValueError for one in several."""
    found = [_folders(path / split) for split in splits]
    times = Counter(name for names in found for name in names)
    twice = sorted(name for name in times if times[name] > 1)
    if twice:
        raise ValueError(
            f"The folders {', '.join(splits)} of {path} must hold different classes, as learners "
            f"are tested on classes that they did not see. Received: {few(twice)} in several. To "
            f"tell these apart, no training is needed: meta-tf adapt {path / splits[0]} "
            f"{path / splits[2]}. Otherwise move each class to one of the folders, or rename "
            "different classes that have one name."
        )
    pairs = zip(splits, found, strict=True)
    return [[f"{split}/{name}" for name in names] for split, names in pairs]


def _folders(path: Path) -> list[str]:
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path} (looked for in {Path.cwd()}).")
    return sorted(f.name for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))
