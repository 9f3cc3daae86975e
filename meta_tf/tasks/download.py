"""Fetching files: resumable, checked, and complete or not there at all."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import keras

OMNIGLOT_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
OMNIGLOT_MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
_PIECE = 2**16
_TIMEOUT = 30  # seconds of silence


def fetch_omniglot(
    folder: Path, base_url: str = OMNIGLOT_URL, md5: Mapping[str, str] = OMNIGLOT_MD5
) -> None:
    """Fetches the archives of Omniglot that `folder` does not hold yet.

    Args:
      folder: where to put them; made if need be.
      base_url: address of the folder that holds them.
      md5: checksum of each archive, by its name.

    Raises:
      OSError: as `fetch` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, checksum in md5.items():
        if not (folder / name).exists():
            fetch(f"{base_url}/{name}", folder / name, checksum)


def fetch(url: str, path: Path, md5: str) -> None:
    """Fetches one file, going on where an interrupted attempt stopped.

    What has come so far lies beside `path` under the name `….part`; `path` itself
    appears only once the checksum is right.

    Args:
      url: where from.
      path: where to.
      md5: the checksum that the file must have, hexadecimal.

    Raises:
      ConnectionError: if the server cannot be reached, refuses, or breaks off.
      OSError: if the checksum is wrong (the file is then removed), or if the disk
        does not take the file.
    """
    part = path.with_name(path.name + ".part")
    try:
        _receive(url, part)
    except urllib.error.HTTPError as error:
        raise ConnectionError(
            f"Cannot download {url}: the server answers {error.code} {error.reason}. "
            f"Fetch it by other means and put it at {path}."
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise _broken_off(url, path, error) from error
    except ConnectionError as error:
        raise _broken_off(url, path, error) from error
    found = _md5(part)
    if found != md5:
        part.unlink()
        raise OSError(
            f"The download of {url} has a wrong checksum and was removed. Expected: MD5 {md5}. "
            f"Received: {found}. Try again; if it happens again, the file at the address has "
            f"changed or something in between alters it: put a right one at {path}."
        )
    part.replace(path)


def _receive(url: str, part: Path) -> None:
    """Appends to `part` what it lacks of the file at `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        # Nothing lies beyond what we have: it is complete, or of another file.
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        return _receive(url, part)
    with response:
        if response.status != http.client.PARTIAL_CONTENT:  # a server may ignore the range
            have = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise http.client.HTTPException("the server sent another range than asked for")
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        _write(response, part, have, total)


def _write(response: http.client.HTTPResponse, part: Path, have: int, total: int | None) -> None:
    bar = keras.utils.Progbar(total, unit_name="byte", interval=0.5)
    with part.open("ab" if have else "wb") as file:
        while piece := response.read(_PIECE):
            file.write(piece)
            have += len(piece)
            bar.update(have, finalize=have == total)
    if total is not None and have < total:
        raise ConnectionResetError(f"{have} of {total} bytes received")


def _broken_off(url: str, path: Path, error: Exception) -> ConnectionError:
    reason = getattr(error, "reason", error)
    return ConnectionError(
        f"Cannot download {url}: {reason}. Check the connection and run again (it goes on where "
        f"it stopped), or fetch the file by other means and put it at {path}."
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # Against accidents only, as published; a forgery is no threat that MD5 could meet.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
