"""Writing a file, or a folder, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Gives a path to write to, whose file takes the place of `path` when the block has ended.

    What stood at `path` stays as it was until then, and for good if the block raises. Once it
    has ended, the new file is on the disk (`fsync` of the file and of its folder), so that a
    machine that stops finds the old content or the new, and never a part.

    Args:
      path: the file; the temporary one beside it has the same ending.

    Example:
      >>> with whole_file("notes.txt") as part:                        # doctest: +SKIP
      ...     part.write_text("all of it")
    """
    path = Path(path)
    part = _beside(path)

    def remove() -> None:
        with contextlib.suppress(OSError):  # else the next run sweeps it up
            part.unlink(missing_ok=True)

    with undone(remove):
        try:
            with naming(path):
                yield part
            sync(part)
            os.replace(part, path)
            sync(path.parent)
        except OSError as error:
            if error.filename is None and error.errno:  # of a write, as when the disk is full
                raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
            raise


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """As `whole_file`, for a folder: what stood at `path` goes only when the new one is there."""
    path = Path(os.path.realpath(path))  # where a link leads to
    make_folder(path.parent)
    part, old = _beside(path), _beside(path)

    def remove() -> None:
        shutil.rmtree(part, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)

    with undone(remove):
        with naming(path):
            yield part
        for file in sorted(part.rglob("*")):
            sync(file)
        sync(part)
        with _undoing:  # or the new folder could be removed once the old one has left
            if path.exists():
                os.rename(path, old)
            try:
                os.rename(part, path)
            except OSError:
                if old.exists():
                    os.rename(old, path)
                raise
        sync(path.parent)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Gives a folder that is gone after the block, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="meta_tf_"))
    with undone(lambda: shutil.rmtree(folder, ignore_errors=True)):
        yield folder


@contextlib.contextmanager
def undone(undo: Callable[[], None]) -> Iterator[None]:
    """Calls `undo` after the block, and also if `undo_all` is called within it."""
    key = object()
    _to_undo[key] = undo
    try:
        yield
    finally:
        del _to_undo[key]
        undo()


def undo_all() -> None:
    """Undoes what other threads are in the middle of, the last first, as the process ends now."""
    with _undoing:
        for undo in reversed(list(_to_undo.values())):
            with contextlib.suppress(OSError):
                undo()


_to_undo: dict[object, Callable[[], None]] = {}
_undoing = threading.Lock()


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folder
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str | Path) -> None:
    """Makes a folder, and those that it is in, to stay there if the machine stops."""
    path = Path(path)
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(new):
        sync(folder.parent)


def sweep(folder: str | Path) -> None:
    """Removes what processes that were killed have left half written in a folder.

    Only for a folder that nobody else writes to now.
    """
    folder = Path(folder)
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _LEFT.match(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the path into an error of the disk that does not say what it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _OF_THE_DISK:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
# The names of `_beside`, and those that exports were given before.
_LEFT = re.compile(r"\.([0-9a-f]{32}-|saved_model\.)")


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex}-{path.name}")
