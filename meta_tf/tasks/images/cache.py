"""Keeps decoded examples on disk, as long as their source is unchanged."""

from __future__ import annotations

import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import platformdirs

from meta_tf.files import whole_file
from meta_tf.tasks.episodes import ClassData

_DAMAGE = (OSError, EOFError, KeyError, MemoryError, ValueError, zipfile.BadZipFile, zlib.error)


def cached(
    name: str, fingerprint: str, make: Callable[[], ClassData], folders: Sequence[Path]
) -> ClassData:
    """Reads the earlier result of `make`, or calls `make` and keeps its result.

    Args:
      name: name of the file.
      fingerprint: a digest of everything that the result depends on. A file with another
        fingerprint, or a damaged one, is replaced.
      make: computes the result.
      folders: where the file can be, in order of preference. The user's cache folder comes
        last.

    Returns:
      The result of `make`.
    """
    users = platformdirs.user_cache_path("meta_tf", appauthor=False)
    paths = [folder / name for folder in [*folders, users]]
    for path in paths:
        if (data := _read(path, fingerprint)) is not None:
            return data
    data = make()
    failures = []
    for path in paths:
        try:
            _write(path, fingerprint, data)
            return data
        except OSError as error:
            failures.append(f"{path} ({error.strerror or error})")
    warnings.warn(
        f"The decoded examples could not be kept, so the next run decodes again: "
        f"{', '.join(failures)}. Set cache_dir to a writable folder.",
        stacklevel=2,
    )
    return data


def _read(path: Path, fingerprint: str) -> ClassData | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if str(file["fingerprint"]) != fingerprint:
                return None
            data = ClassData(file["examples"], np.diff(file["offsets"]), file["names"].tolist())
    except _DAMAGE:
        return None
    whole = len(data.examples) == data.counts.sum() and len(data.names) == len(data.counts)
    return data if whole else None


def _write(path: Path, fingerprint: str, data: ClassData) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # An administrator can write anywhere, but should respect a read-only mark.
    if not path.parent.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path.parent} is marked read-only")
    with whole_file(path) as part:
        np.savez_compressed(
            part,
            examples=data.examples,
            offsets=np.concatenate([[0], np.cumsum(data.counts)]),
            names=np.array(data.names),
            fingerprint=np.array(fingerprint),
        )
