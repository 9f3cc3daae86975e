"""Selects weights of a model by patterns over their names."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence


def choose(paths: Sequence[str], patterns: Sequence[str] | None) -> list[int]:
    """The positions of the paths that the patterns select; all without a pattern.

    A pattern (with `*` and `?` as in file names) matches a weight if it matches the
    weight's path (`conv1/kernel`) or one part of it (`conv1`). A pattern with `!` in
    front excludes weights. If the first pattern excludes, selection starts with all.
    Raises ValueError if a pattern matches nothing, or nothing is left.

    Example:
      >>> choose(["conv1/kernel", "norm1/gamma", "head/kernel"], ["!norm*"])
      [0, 2]
    """
    if not patterns:
        return list(range(len(paths)))
    chosen = set(range(len(paths))) if patterns[0].startswith("!") else set()
    for pattern in patterns:
        found = {i for i, path in enumerate(paths) if _matches(path, pattern.removeprefix("!"))}
        if not found:
            raise ValueError(
                f"The pattern {pattern!r} in `adapted` matches no trainable weight. "
                f"The model has: {', '.join(paths)}."
            )
        chosen = chosen - found if pattern.startswith("!") else chosen | found
    if not chosen:
        raise ValueError(f"`adapted`={tuple(patterns)!r} selects no weight.")
    return sorted(chosen)


def _matches(path: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(part, pattern) for part in (path, *path.split("/")))
