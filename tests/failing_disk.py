"""A disk that fails at its n-th operation, and one that loses what was not synced.

Writes, renames, removals, new folders and `fsync` count, as far as they go through Python.
"""

import builtins
import contextlib
import errno
import io
import os
import shutil

PATHS = ("replace", "rename", "unlink", "rmdir", "mkdir")


class FailingDisk:
    """Fails at the operation `fails_at`, from 1; `for_good` at all that follow as well.

    Only what happens beneath `root` counts, if it is in the block of `failing()`.
    """

    def __init__(self, root, fails_at=None, for_good=False):
        self.root, self.fails_at, self.for_good = str(root), fails_at, for_good
        self.count = 0
        self._names, self._data = {}, {}  # what is on the disk for good
        self._kept = f"{root}.kept"  # links, so that no inode is used twice
        os.makedirs(self._kept, exist_ok=True)

    @contextlib.contextmanager
    def failing(self):
        real = {name: getattr(os, name) for name in PATHS}
        fsync, open_ = os.fsync, io.open
        try:
            for name, function in real.items():
                setattr(os, name, self._on_path(function))
            os.fsync = lambda fd: self._synced(fd, fsync)
            io.open = builtins.open = lambda *a, **k: self._opened(open_, *a, **k)
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)
            os.fsync, io.open, builtins.open = fsync, open_, open_

    def lose_what_was_not_synced(self):
        """Leaves beneath the root what a machine finds that lost its power now."""
        shutil.rmtree(self.root)
        os.makedirs(self.root)
        self._restore(self.root)

    def _restore(self, folder):
        for name, inode in self._names.get(folder, {}).items():
            path = os.path.join(folder, name)
            if inode is None:
                os.makedirs(path)
                self._restore(path)
            else:
                with open(path, "wb") as file:
                    file.write(self._data.get(inode, b""))

    def _beneath(self, path):
        return os.path.abspath(path).startswith(self.root + os.sep)

    def _operation(self, path=None):
        self.count += 1
        wrong = self.fails_at is not None and self.count >= self.fails_at
        if wrong and (self.for_good or self.count == self.fails_at):
            raise OSError(errno.ENOSPC, "No space left on device", path)

    def _on_path(self, function):
        def call(path, *others, **options):
            if isinstance(path, str | os.PathLike) and self._beneath(path):
                self._operation(str(path))
            return function(path, *others, **options)

        return call

    def _synced(self, descriptor, fsync):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not (path == self.root or self._beneath(path)):
            return fsync(descriptor)
        self._operation()
        if not os.path.isdir(path):
            with io.FileIO(path) as file:
                self._data[os.fstat(descriptor).st_ino] = file.readall()
            return None
        self._names[path] = {}
        for entry in os.scandir(path):
            inode = None if entry.is_dir() else entry.inode()
            self._names[path][entry.name] = inode
            if inode is not None and not os.path.exists(f"{self._kept}/{inode}"):
                os.link(entry.path, f"{self._kept}/{inode}")
        return None

    def _opened(self, open_, file, mode="r", *others, **options):
        opened = open_(file, mode, *others, **options)
        is_path = isinstance(file, str | os.PathLike)
        if is_path and self._beneath(file) and set(mode) & set("wax+"):
            return _Counted(opened, self._operation)
        return opened


class _Counted:
    """A file that counts its writes; one that fails is half done."""

    def __init__(self, file, operation):
        self._file, self._operation = file, operation

    def write(self, data):
        try:
            self._operation()
        except OSError:
            self._file.write(data[: len(data) // 2])
            raise
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
