"""Omniglot: 1623 hand-written characters of 50 alphabets, 20 drawings each."""

from __future__ import annotations

import functools
import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from meta_tf.checks import check_choice, check_integer
from meta_tf.tasks.class_source import ClassData, ClassSource, Rotations
from meta_tf.tasks.divide import shuffled, split_by_fractions
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.download import OMNIGLOT_URL, fetch_omniglot
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_cache import decoded_pictures, users_folder
from meta_tf.tasks.size_range import SizeRange

_BACKGROUND, _EVALUATION = HALVES = ("images_background", "images_evaluation")
_MOST_BYTES = 2**20  # per drawing, whose file has a few hundred bytes
_FINN = (1100 / 1623, 100 / 1623, 423 / 1623)
_LAKE_VALID = 0.1
# <half>/<alphabet>/<character>/<drawing>.png, in any folder
_DRAWING = re.compile(r"(?:^|/)((images_\w+)/[^/]+/[^/.][^/]*)/[^/.][^/]*\.png$")


class Omniglot(ClassSource):
    """Tasks of recognising characters of Omniglot, as strokes of 1 on 0.

    The 105 x 105 drawings are resized (Lanczos, antialiased) and inverted.

    Args:
      data_dir: folder with `images_background.zip` and `images_evaluation.zip`, or
        with their contents, directly or in a subfolder `python`.
      ways: N, classes per task. With a range `(2, 20)`, each task draws its own number,
        uniformly; likewise for `shots` and `queries`. See `meta_tf.types` for such batches.
      shots: K, support drawings per class.
      queries: query drawings per class; each character has 20 drawings.
      split: `"finn"`: all characters, shuffled once, 1100 for training, 100 for validation, the
        other 423 for test (for a smaller data set, the same proportions). `"lake"`: the evaluation
        alphabets for test, and a tenth of the background characters for validation. Both depend
        only on the names of the characters.
      rotations: `"task"` rotates each class of each task by 0, 90, 180 or 270°, in
        all splits, as the MAML paper does; `"classes"` makes every rotated
        character a separate class, only in training, as other papers do; `None`
        rotates nothing. Rotation keeps four copies of the drawings, 100 MB.
      size: height and width of the images in pixels.
      download: whether to download archives that are not in `data_dir` (14 MB).
      cache_dir: where to keep the resized drawings (25 MB), which are computed again if the
        drawings change; if None, `data_dir` or, if that is not writable, the user's cache folder
        (`~/.cache/meta_tf` on Linux).
      mirror: URL of a folder that contains the two archives, to download them from; the official
        one if None. In any case, the downloaded files must have the official checksums.
      train_ways, train_shots: those of the training tasks; `ways` and `shots` if None.

    Raises:
      FileNotFoundError: if the drawings are not there.
      ValueError: if an argument is out of its range, a drawing cannot be decoded, or
        there are too few for such tasks.
      OSError: if the download fails.

    Example:
      tasks = meta_tf.tasks.Omniglot("data/omniglot", ways=5, shots=1, queries=15)

    References:
      Lake et al., Human-level concept learning through probabilistic program induction, 2015; Finn
      et al., Model-agnostic meta-learning, 2017 (the split sizes and the rotations).
    """

    def __init__(
        self,
        data_dir: str | Path,
        ways: SizeRange = 5,
        shots: SizeRange = 1,
        queries: SizeRange = 15,
        split: Literal["finn", "lake"] = "finn",
        rotations: Rotations = "task",
        size: int = 28,
        download: bool = False,
        cache_dir: str | Path | None = None,
        mirror: str | None = None,
        train_ways: SizeRange | None = None,
        train_shots: SizeRange | None = None,
    ):
        check_choice("split", split, ("finn", "lake"))
        check_integer("size", size, at_least=1)
        data_dir = Path(data_dir).expanduser()
        if download:
            missing = [half for half in HALVES if half not in _places(data_dir)]
            fetch_omniglot(data_dir, [f"{half}.zip" for half in missing], mirror)
        data = _load(data_dir, size, cache_dir)
        super().__init__(
            data,
            _split(data.names, split),
            ways=ways,
            shots=shots,
            queries=queries,
            rotations=rotations,
            train_ways=train_ways,
            train_shots=train_shots,
        )


def _split(names: Sequence[str], split: str) -> list[list[str]]:
    if split == "finn":
        return split_by_fractions(names, _FINN)
    background = shuffled([name for name in names if name.startswith(_BACKGROUND)])
    valid = round(_LAKE_VALID * len(background))
    test = [name for name in names if name.startswith(_EVALUATION)]
    return [background[valid:], background[:valid], test]


class _Drawing(NamedTuple):
    character: str  # images_background/<alphabet>/<character>
    mark: str  # changes with the content: a checksum, or the size
    file: ImageFile


def _load(data_dir: Path, size: int, cache_dir: str | Path | None) -> ClassData:
    places = _places(data_dir)
    if len(places) < len(HALVES):
        missing = [half for half in HALVES if half not in places]
        looked = ", ".join(str(path) for half in missing for path in _candidates(data_dir, half))
        raise FileNotFoundError(
            f"Omniglot is not in data_dir={str(data_dir)!r}. Looked for, and did not find: "
            f"{looked}. Put {' and '.join(f'{half}.zip' for half in missing)} there, from "
            f"{OMNIGLOT_URL}, or download it: download=True in Python, --download on the command "
            "line."
        )
    drawings = [drawing for place in places.values() for drawing in _drawings(place)]
    drawings.sort(key=lambda drawing: (drawing.character, drawing.file.name))
    digest = hashlib.sha256(f"{size}\n".encode())
    for drawing in drawings:
        digest.update(
            f"{drawing.character} {Path(drawing.file.name).name} {drawing.mark}\n".encode()
        )
    first = data_dir if cache_dir is None else Path(cache_dir).expanduser()
    kept = [folder / f"omniglot_{size}" for folder in (first, users_folder())]
    images, _ = decoded_pictures(
        data_dir,
        [drawing.file for drawing in drawings],
        functools.partial(Conversion, (size, size), 1),
        kept,
        digest.hexdigest(),
        "set `cache_dir` to a writable folder",
    )
    names, counts = np.unique([drawing.character for drawing in drawings], return_counts=True)
    return ClassData(255 - np.asarray(images), counts, names.tolist())


def _candidates(data_dir: Path, half: str) -> list[Path]:
    return [
        folder / name
        for folder in (data_dir, data_dir / "python")
        for name in (f"{half}.zip", half)
    ]


def _places(data_dir: Path) -> dict[str, Path]:
    found = {half: [p for p in _candidates(data_dir, half) if p.exists()] for half in HALVES}
    return {half: places[0] for half, places in found.items() if places}


def _drawings(place: Path) -> list[_Drawing]:
    found = list(_in_folder(place) if place.is_dir() else _in_archive(place))
    if not found:
        raise FileNotFoundError(
            f"{place} contains no drawings of the form <alphabet>/<character>/<drawing>.png. "
            "Replace it with the official one, or delete it and pass download=True."
        )
    return found


def _in_archive(place: Path) -> Iterator[_Drawing]:
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(
            f"{place} is not a complete zip archive: {error}. Replace it, or delete it and pass "
            "download=True."
        ) from error
    for entry in archive.infolist():
        if (match := _DRAWING.search(entry.filename)) and match[2] == place.stem:
            name = f"{place}/{entry.filename}"
            yield _Drawing(match[1], f"{entry.CRC:08x}", ImageFile(name, _reader(archive, entry)))


def _reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(entry) as file:
                content = file.read(_MOST_BYTES + 1)  # the archive may state a wrong size
            if len(content) > _MOST_BYTES:
                raise zipfile.BadZipFile(f"it contains more than {_MOST_BYTES} bytes")
            return content
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error) as error:
            raise ValueError(
                f"Cannot read {entry.filename} in {archive.filename}: {error}. Replace the "
                "archive, or delete it and pass download=True."
            ) from error

    return read


def _in_folder(place: Path) -> Iterator[_Drawing]:
    for path in place.glob("*/*/*"):
        name = path.relative_to(place.parent).as_posix()
        if match := _DRAWING.search(name):
            yield _Drawing(match[1], str(path.stat().st_size), ImageFile.at(path))
