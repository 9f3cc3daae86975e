"""Fetching Omniglot's archives: checked, and complete or not there at all."""

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
    """Fetches archives of Omniglot into a folder.

    Args:
      folder: where to put them; created if need be.
      names: which archives, of those in `OMNIGLOT_MD5`.
      mirror: address of a folder that holds them; the official one if None.

    Raises:
      OSError: as `fetch` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        fetch(f"{(mirror or OMNIGLOT_URL).rstrip('/')}/{name}", folder / name, OMNIGLOT_MD5[name])


def fetch(url: str, path: Path, md5: str) -> None:
    """Fetches one file, which appears under its name only once its checksum is right.

    Args:
      url: where from.
      path: where to.
      md5: the checksum that the file must have, hexadecimal. It guards against accidents.

    Raises:
      OSError: if the server cannot be reached, refuses or breaks off, the checksum is wrong,
        or the disk does not take the file. Nothing of it is left in the folder then.
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
        except Exception as error:  # Keras raises no narrower one for what the network does
            # It removes what is not complete, and leaves what has a wrong checksum.
            wrong = f"its MD5 checksum is not {md5}" if part.exists() else ""
            raise OSError(
                f"Cannot download {url}: {wrong or error.__context__ or error}. Try again; if it "
                f"fails again, name another address by `mirror`, or put the file at {path}."
            ) from error
