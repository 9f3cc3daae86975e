"""Keeps decoded pictures on disk, as long as their files are unchanged."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import stat
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
import platformdirs
import tensorflow as tf

from meta_tf.files import make_folder, whole_folder
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.decode import decoded, decoded_chunks
from meta_tf.tasks.images.picture import ImageFile

_FORMAT = 2  # of the files below; incremented when decoding changes
_PICTURES, _ABOUT = "pictures.npy", "about.json"
_DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError)
_READ_BYTES = 2**20  # at a time
_SLOW = 5.0  # seconds of decoding before a line is printed
_LEFT = 3600.0  # seconds without a write after which a file belongs to a killed process


def decoded_pictures(
    path: Path,
    files: Sequence[ImageFile],
    new_conversion: Callable[[], Conversion],
    folders: Sequence[Path],
    mark: str,
    cure: str,
) -> tuple[np.ndarray, str]:
    """The decoded pictures of a set, kept in the first of the folders that can be written.

    They are in memory if there are no folders or, after a line on `path` and a `cure`, if none of
    them can be written. `mark` is a digest of the files and their order. Returns the pictures,
    uint8 [n, height, width, channels], and what they lost, as `Conversion.in_words` says. Each
    attempt has a new conversion, which counts that.
    """
    failures = []
    for folder in folders:
        try:
            return kept_pictures(folder, mark, files, new_conversion())
        except OSError as error:
            failures.append(f"{error.filename or folder}: {error.strerror or error}")
    if failures:
        print(
            f"The decoded pictures of {path} are kept in memory, as they cannot be kept on disk: "
            f"{'; '.join(failures)}. Change that, or {cure}.",
            flush=True,
        )
    conversion = new_conversion()
    return decoded(files, conversion), conversion.in_words()


def kept_pictures(
    folder: Path, mark: str, files: Sequence[ImageFile], conversion: Conversion
) -> tuple[np.memmap, str]:
    """The pictures as a memory map of a folder, which is written on first use.

    It is written again if `mark` differs, or if its checksum shows damage; the whole file is read
    once for that. Raises OSError if the folder cannot be written.
    """
    mark = f"{_FORMAT} {tf.__version__} {PIL.__version__} {mark}"
    shape = (len(files), *conversion.size, conversion.channels)
    found = _opened(folder, mark, shape)
    if found is not None:
        return found
    try:
        _write(folder, mark, files, shape, conversion)
    except OSError:
        found = _opened(folder, mark, shape)  # another process may have created it
        if found is None:
            raise
    found = found or _opened(folder, mark, shape)
    if found is None:
        raise OSError(errno.EIO, "the written file cannot be read again", str(folder))
    return found


def users_folder() -> Path:
    """The user's cache folder (`~/.cache/meta_tf` on Linux)."""
    return platformdirs.user_cache_path("meta_tf", appauthor=False)


def _opened(folder: Path, mark: str, shape: tuple[int, ...]) -> tuple[np.memmap, str] | None:
    """The content of a folder, unless it is damaged or from other pictures."""
    path = folder / _PICTURES
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        array = np.lib.format.open_memmap(path, mode="r")
        whole = path.stat().st_size == array.offset + array.nbytes
        fits = about["mark"] == mark and array.shape == shape and array.dtype == np.uint8
        losses = str(about["told"])
        if fits and whole and about["checksum"] == _checksum(path, array.offset, losses):
            return array, losses
    except _DAMAGE:
        pass
    return None


def _checksum(path: Path, start: int, losses: str) -> int:
    """The checksum of a file from `start` on, and of the description."""
    checksum = 0
    with path.open("rb") as file:  # not with the map: all of it would count as memory in use
        file.seek(start)
        while read := file.read(_READ_BYTES):
            checksum = zlib.crc32(read, checksum)
    return zlib.crc32(losses.encode(), checksum)


def _write(
    folder: Path,
    mark: str,
    files: Sequence[ImageFile],
    shape: tuple[int, ...],
    conversion: Conversion,
) -> None:
    """Decodes the pictures into the folder, completely or not at all."""
    make_folder(folder.parent)
    # An administrator can write anywhere, but should respect a read-only mark.
    if not folder.parent.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(folder.parent))
    _remove_left(folder)
    if shutil.disk_usage(folder.parent).free < math.prod(shape):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    start, done, announced, checksum = time.monotonic(), 0, False, 0
    with whole_folder(folder) as part:
        part.mkdir()
        # Writes in order instead of a memory map, which would crash the process on a full disk.
        with (part / _PICTURES).open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for images in decoded_chunks(files, conversion):
                file.write(images.data)
                checksum = zlib.crc32(images.data, checksum)
                done += len(images)
                if not announced and done < len(files) and time.monotonic() - start > _SLOW:
                    announced = True
                    _tell(folder, done, shape)
        checksum = zlib.crc32(conversion.in_words().encode(), checksum)
        about = {"mark": mark, "told": conversion.in_words(), "checksum": checksum}
        (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _tell(folder: Path, done: int, shape: tuple[int, ...]) -> None:
    end = "\n" if sys.stdout.isatty() else ""  # so as not to write into the progress bar
    print(
        f"{end}Decoding {shape[0]} pictures into {folder} ({math.prod(shape) / 1e6:.0f} MB), once: "
        f"{100 * done // shape[0]} % after {_SLOW:.0f} seconds.",
        flush=True,
    )


def _remove_left(folder: Path) -> None:
    """Removes the incomplete files that killed processes left for this folder."""
    for left in folder.parent.glob(f".*-{folder.name}"):
        with contextlib.suppress(OSError):  # another process may have removed it
            last = max(path.stat().st_mtime for path in (left, *left.iterdir()))
            if time.time() - last > _LEFT:
                shutil.rmtree(left)
