"""The lines of a file of flags, and what they say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def lines_of(path: str | Path, what: str) -> list[str]:
    """The lines `--name=value` of a file; empty ones and those that begin with # are left out.

    Args:
      path: the file.
      what: it is, for the error, such as `--flagfile`.

    Raises:
      ValueError: if it cannot be read, or has another line.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ValueError(
            f"{what} must be a file of lines --name=value. Received: {str(path)!r}, which cannot "
            f"be read: {why}."
        ) from None
    found = []
    for number, line in enumerate((line.strip() for line in text.splitlines()), 1):
        if not line or line[0] == "#":
            continue
        if not re.fullmatch(r"--\w+(=.*)?", line):
            raise ValueError(
                f"{what} must be a file of lines --name=value. Received: line {number} of "
                f"{str(path)!r}, {line[:60]!r}. Write one flag a line, or restore the file."
            )
        found.append(line)
    return found


def told_by(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The names and texts of the lines `--name=text`; other lines are passed over."""
    flags = (line.removeprefix("--") for line in lines if line.startswith("--") and "=" in line)
    return [(name, text) for name, _, text in (flag.partition("=") for flag in flags)]
