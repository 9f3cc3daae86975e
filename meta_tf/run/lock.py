"""Locks a run's folder, so that only one run at a time uses it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from meta_tf.files import make_folder, sweep, undone
from meta_tf.run.checkpoints import FOLDER

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
_ALONE = "do not start a second run in it."
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def claimed(folder: str | Path) -> Iterator[bool]:
    """Locks a run's folder during the block, and creates it if needed.

    The kernel's lock (`flock`) ends with its process, however that ends, so a dead process never
    blocks others. The lock file names the process. Incomplete files of killed processes are
    removed.

    Args:
      folder: the run's folder. If it is new and stays empty, it is removed after the block.

    Yields:
      Whether the folder can be written to; False on a read-only disk.

    Raises:
      ValueError: if another process holds the lock, `folder` is a file, or the lock file a link.

    Example:
      >>> import tempfile
      >>> with claimed(tempfile.mkdtemp()) as writable:
      ...     writable
      True
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--workdir must be a folder. Received: {folder}, which is a file.")
    is_new = not folder.exists()
    make_folder(folder)
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(
                f"{folder / LOCK} must be a file. Received: a link to "
                f"{os.readlink(folder / LOCK)}, whose target the run would overwrite. Remove "
                "the link."
            ) from error
        if is_new or error.errno not in _READ_ONLY:
            raise
        yield False
        return
    with contextlib.ExitStack() as at_end:
        at_end.callback(os.close, descriptor)
        _lock(descriptor, folder)
        if is_new:
            at_end.enter_context(undone(lambda: _remove_if_empty(folder)))
        for part in (folder, folder / FOLDER):
            sweep(part)
        yield True


def _remove_if_empty(folder: Path) -> None:
    if os.listdir(folder) == [LOCK]:
        (folder / LOCK).unlink()
        folder.rmdir()


def _lock(descriptor: int, folder: Path) -> None:
    """Takes the lock, and writes which process has it."""
    if fcntl is None:
        print(f"{folder} cannot be locked on this system: {_ALONE}")
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
        raise ValueError(
            f"--workdir={folder} is in use by a run that has not ended: {holder}. Wait for it, end "
            "it, or give another --workdir."
        ) from error
    except OSError as error:
        print(f"{folder} cannot be locked ({error.strerror}): {_ALONE}")
    with contextlib.suppress(OSError):  # on a full disk, the lock is held all the same
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
