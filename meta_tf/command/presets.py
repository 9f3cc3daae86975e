"""Presets: files of flags by name."""

from __future__ import annotations

import difflib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "presets"
_DEFAULT = {
    "sinusoid": "sinusoid_10shot",
    "hidden_teacher": "hidden_teacher",
    "omniglot": "omniglot_5way_1shot",
    "images": "images_5way_1shot",
    "table": "table",
}
_ALGORITHM = {"images": "protonet"}  # has no inner loop: the quickest to train


def names() -> list[str]:
    """The presets."""
    return sorted(path.stem for path in FOLDER.glob("*.flags"))


def path_of(name: str) -> Path:
    """The file of a preset.

    Raises:
      ValueError: if there is none of that name.
    """
    if name not in names():
        nearest = ", ".join(difflib.get_close_matches(name, names(), n=5, cutoff=0))
        raise ValueError(
            f"--preset must be one that `meta-tf train --help` lists; the nearest are {nearest}. "
            f"Received: --preset={name}."
        )
    return FOLDER / f"{name}.flags"


def about(name: str) -> str:
    """What a preset is: its first line."""
    return path_of(name).read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")


def default_for(task: str, algorithm: str | None) -> str | None:
    """The preset of a task and an algorithm, or else of the task; without one the task's own."""
    name, algorithm = _DEFAULT.get(task), algorithm or _ALGORITHM.get(task, "")
    if name is None:  # a task from outside
        return None
    return f"{name}_{algorithm}" if f"{name}_{algorithm}" in names() else name
