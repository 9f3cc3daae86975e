"""Which groups belong to training, validation and test."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from meta_tf.checks import shown
from meta_tf.tasks.source import PARTS
from meta_tf.tasks.split import split_by_fractions


def split_groups(
    names: Sequence[str], split: Sequence[float] | Sequence[Sequence[Any]], seed: int = 0
) -> list[list[int]]:
    """Divides groups among training, validation and test.

    Args:
      names: all groups.
      split: the three parts' shares, or three lists of groups, also by "train", "valid" and "test".
      seed: chooses who goes where, for shares.

    Returns:
      Three lists of positions in `names`, disjoint and not empty, in the order of `names`.

    Raises:
      ValueError: if `split` is neither, or a list names an unknown group, or one twice.
    """
    given: Any = split
    if isinstance(given, Mapping) and set(given) == set(PARTS):
        given = [given[part] for part in PARTS]
    parts = _listed(given)
    if all(isinstance(part, numbers.Real) for part in parts):
        chosen = split_by_fractions(names, parts, seed)
    else:
        chosen = [_names_in(part) for part in parts]
        _check_lists(names, chosen)
    for part, groups in zip(PARTS, chosen, strict=True):
        if not groups:
            raise ValueError(
                f"`split` must leave groups for each part. Received: none for {part}, where there "
                f"are {len(names)}: {_few(names)}. Give it a larger share, or a list."
            )
    rows = {name: row for row, name in enumerate(names)}
    return [sorted(rows[name] for name in groups) for groups in chosen]


def _names_in(part: Any) -> list[str]:
    names = _listed(part, " in it")
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _listed(split: Any, where: str = "") -> list[Any]:
    """The members of `split`, or of a list in it; ValueError if it has none."""
    try:
        if not isinstance(split, str):
            return list(split)
    except TypeError:
        pass
    raise ValueError(
        "`split` must be three shares of the groups that add up to 1, or three lists of groups. "
        f"Received: {shown(split)}{where}."
    )


def _check_lists(names: Sequence[str], parts: Sequence[Sequence[str]]) -> None:
    if len(parts) != 3:
        raise ValueError(
            "`split` must be three lists of groups, for training, validation and test. Received: "
            f"{len(parts)}."
        )
    listed = [name for part in parts for name in part]
    unknown = sorted(set(listed) - set(names))
    if unknown:
        raise ValueError(
            f"`split` must name groups that there are: {_few(names)}. Received: {_few(unknown)}."
        )
    twice = sorted(name for name, times in Counter(listed).items() if times > 1)
    if twice:
        raise ValueError(
            "`split` must name no group twice: what is learned from must not be tested on. "
            f"Received: {_few(twice)} more than once."
        )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:5])
    return f"{shown}, … ({len(names)} in all)" if len(names) > 5 else shown
