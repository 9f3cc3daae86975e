"""Writes a file or a folder completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Gives a path to write to; the file there replaces `path` when the block ends.

    The folder of `path` is made if it does not exist.
    Until then, the old content of `path` stays unchanged, and it is kept if the block raises. When
    the block has ended, the new file is on the disk (`fsync` of the file and of its folder), so
    a crash of the machine leaves either the old or the new content, never a part.

    Args:
      path: the file; the temporary file beside it has the same extension.

    Example:
      >>> with whole_file("notes.txt") as part:                        # doctest: +SKIP
      ...     part.write_text("all of it")
    """
    path = Path(path)
    part = _beside(path)
    make_folder(path.parent)

    def remove() -> None:
        with contextlib.suppress(OSError):  # `sweep` removes it in the next run
            part.unlink(missing_ok=True)

    with undone(remove):
        try:
            with naming(path):
                yield part
            sync(part)
            os.replace(part, path)
            sync(path.parent)
        except OSError as error:
            # Without a name, it is from a write, such as on a full disk.
            if error.errno and error.filename in (None, str(part), os.fsencode(part)):
                raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
            raise


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file in UTF-8, completely or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Like `whole_file`, for a folder: the old folder is removed only when the new one is there."""
    path = Path(os.path.realpath(path))  # the target of a link
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
        with _undoing:  # otherwise `undo_all` could remove the new folder after the old one moved
            if path.exists():
                os.rename(path, old)
            try:
                os.rename(part, path)
            except OSError:
                if old.exists():
                    os.rename(old, path)
                raise
        sync(path.parent)


def check_writable(name: str, path: str | Path, *suffixes: str, any_case: bool = False) -> None:
    """Raises ValueError if a file cannot be written to `path`, before the work that it is to hold.

    Args:
      name: the name of the argument.
      path: the file; folders above it may be missing.
      suffixes: what the name of the file may end in; anything if none is given.
      any_case: whether it may also end in them in upper case.
    """
    path = Path(path)
    suffix = path.suffix.lower() if any_case else path.suffix
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if suffixes and suffix not in suffixes:
        wrong = f"end in {' or '.join(suffixes)}. Received: {path}"
    elif path.is_dir():
        wrong = f"be a file. Received: {path}, which is a folder"
    elif not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        wrong = f"be in a folder that can be written to. Received: {path}; {above} is none"
    else:
        return
    raise ValueError(f"{name} must {wrong}.")


def check_replaceable(name: str, path: Path, what: str, ours: Callable[[Path], bool]) -> None:
    """Raises ValueError if writing a folder to `path` would replace somebody else's files.

    Args:
      name: the name of the argument.
      path: the folder.
      what: what may be replaced, such as "export".
      ours: whether an existing folder that is not empty is an earlier one of these.
    """
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or ours(path))):
        raise ValueError(
            f"`{name}` must be a new folder, an empty one or an earlier {what}, which is replaced. "
            f"Received: {str(path)!r}, which contains other files."
        )


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Gives a folder that is removed after the block, however the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="meta_tf_"))
    with undone(lambda: shutil.rmtree(folder, ignore_errors=True)):
        yield folder


@contextlib.contextmanager
def undone(undo: Callable[[], None]) -> Iterator[None]:
    """Calls `undo` after the block, or earlier if `undo_all` is called during the block."""
    key = object()
    _to_undo[key] = undo
    try:
        yield
    finally:
        del _to_undo[key]
        undo()


def undo_all() -> None:
    """Undoes the unfinished work of other threads, last first, because the process ends now."""
    with _undoing:
        for undo in reversed(list(_to_undo.values())):
            with contextlib.suppress(OSError):
                undo()


_to_undo: dict[object, Callable[[], None]] = {}
_undoing = threading.Lock()


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: str | Path) -> None:
    """Makes a folder and its parents, so that they survive a crash of the machine."""
    path = Path(path)
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    if new:
        path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(new):
        sync(folder.parent)


def sweep(folder: str | Path) -> None:
    """Removes the incomplete files that killed processes left in a folder.

    Use it only if no other process writes to the folder.
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
    """Adds the path to a disk error that does not name a file."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _OF_THE_DISK:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
# The names of `_beside`, and those of earlier versions of exports.
_LEFT = re.compile(r"\.([0-9a-f]{32}-|saved_model\.)")


def _beside(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex}-{path.name}")


def write_json_beside(exported: Path, name: str, content: Any) -> None:
    """Writes what is known about an export as JSON; removes an earlier file for None.

    Args:
      exported: a SavedModel, which has a folder for such files, or another folder or file.
      name: what the content is: the file is `assets.extra/NAME.json`, or `EXPORTED.NAME.json`.
      content: what JSON can express, or None.
    """
    path = exported.with_name(f"{exported.name}.{name}.json")
    if (exported / "saved_model.pb").exists():
        path = exported / "assets.extra" / f"{name}.json"
    if content is None:
        path.unlink(missing_ok=True)
    else:
        write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
