"""Reads files from Debian packages, and verifies them."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path


def file_of(package: str, path: str, sha256: str, deb: str | None = None) -> bytes:
    """The bytes of one file in a Debian package.

    Args:
      package: its name, for `apt-get download`; nothing is installed.
      path: the file's path in the package, from the root.
      sha256: the digest that it must have.
      deb: the package's file, if you have it already.

    Raises:
      ValueError: if the package cannot be fetched, or the file has another digest.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(deb).resolve() if deb else _downloaded(package, folder)
        _run(["dpkg-deb", "-x", str(archive), folder], folder)
        file = Path(folder) / path
        if not file.is_file():
            raise ValueError(f"{archive.name} has no file {path}: another version of {package}?")
        content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} of {package} must have SHA-256 {sha256}. Received: {found}.")
    return content


def unpack(package: str, sha256: str, folder: str, debs: str | None = None) -> None:
    """Extracts all files of a Debian package into `folder`, relative to the root.

    Args:
      package: its name, for `apt-get download`; nothing is installed.
      sha256: the digest that the package must have.
      folder: where to extract.
      debs: a folder with the package's file, if you have it already.

    Raises:
      ValueError: if the package cannot be fetched, or is another version.
    """
    with tempfile.TemporaryDirectory() as download:
        archive = among(debs, package) if debs else _downloaded(package, download)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(f"{archive.name} must have SHA-256 {sha256}. Received: {found}.")
        _run(["dpkg-deb", "-x", str(archive), folder], folder)


def among(debs: str, package: str) -> Path:
    """The file of a package in a folder, the first if there are several.

    Raises:
      ValueError: if there is none.
    """
    found = sorted(Path(debs).resolve().glob(f"{package}_*.deb"))
    if not found:
        raise ValueError(f"--debs must be a folder with {package}_*.deb. Received: {debs}.")
    return found[0]


def _downloaded(package: str, folder: str) -> Path:
    _run(["apt-get", "download", package], folder)
    return next(Path(folder).glob("*.deb"))


def _run(words: list[str], folder: str) -> None:
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or error
        raise ValueError(f"`{' '.join(words)}` failed: {str(reason).strip()}") from error
