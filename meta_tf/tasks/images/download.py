"""Downloads Omniglot's archives: verified, and either complete or absent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import keras

from meta_tf.files import whole_file

OMNIGLOT_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
OMNIGLOT_MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}


def fetch_omniglot(folder: Path, names: Iterable[str], mirror: str | None = None) -> None:
    """Downloads archives in `OMNIGLOT_MD5` to a folder, from `mirror` or else the official URL."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        fetch(f"{(mirror or OMNIGLOT_URL).rstrip('/')}/{name}", folder / name, OMNIGLOT_MD5[name])


def fetch(url: str, path: Path, md5: str) -> None:
    """Downloads one file, which gets its name only after its checksum was verified.

    Raises OSError, and leaves no part of the file, if the server cannot be reached, rejects the
    request or breaks off, the checksum is wrong, or the file cannot be written.
    """
    with whole_file(path) as part:
        try:
            keras.utils.get_file(
                part.name,
                url,
                file_hash=md5,
                hash_algorithm="md5",
                cache_subdir=str(path.parent.absolute()),
            )
        except Exception as error:  # Keras raises no narrower type for network errors
            # Keras removes an incomplete file, but leaves one with a wrong checksum.
            wrong = f"its MD5 checksum is not {md5}" if part.exists() else ""
            raise OSError(
                f"Cannot download {url}: {wrong or error.__context__ or error}. Try again; if it "
                f"fails again, set another URL with `mirror`, or put the file at {path}."
            ) from error
