"""Divides groups among training, validation and test."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from meta_tf.checks import few, shown
from meta_tf.tasks.examples import as_text
from meta_tf.tasks.source import PARTS
from meta_tf.tasks.split import split_by_fractions


def split_groups(
    names: Sequence[str], split: Sequence[float] | Sequence[Sequence[Any]], seed: int = 0
) -> list[list[int]]:
    """Three disjoint lists of indices into `names`, not empty: training, validation and test.

    `split`: as in `from_groups`, or a dictionary with "train", "valid" and "test". `seed`: chooses
    the groups of each part if `split` is fractions. Raises ValueError if `split` is invalid.
    """
    given: Any = split
    if isinstance(given, Mapping) and set(given) == set(PARTS):
        given = [given[part] for part in PARTS]
    parts = _listed(given)
    if all(isinstance(part, numbers.Real) for part in parts):
        chosen = split_by_fractions(names, parts, seed)
    else:
        chosen = [[as_text(name) for name in _listed(part, " in it")] for part in parts]
        _check_lists(names, chosen)
    for part, groups in zip(PARTS, chosen, strict=True):
        if not groups:
            raise ValueError(
                f"`split` must leave groups for each part. Received: none for {part}, of "
                f"{len(names)}: {few(names)}. Give it a larger fraction, or a list."
            )
    rows = {name: row for row, name in enumerate(names)}
    return [sorted(rows[name] for name in groups) for groups in chosen]


def _listed(split: Any, where: str = "") -> list[Any]:
    """The members of `split`, or of a list in it; raises ValueError for other types."""
    try:
        if not isinstance(split, str):
            return list(split)
    except TypeError:
        pass
    raise ValueError(
        "`split` must be three fractions of the groups that add up to 1, or three lists of groups. "
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
            f"`split` must contain names of groups: {few(names)}. Received: {few(unknown)}."
        )
    twice = sorted(name for name, times in Counter(listed).items() if times > 1)
    if twice:
        raise ValueError(
            "`split` must not contain a group twice: training groups must not be tested. "
            f"Received: {few(twice)} more than once."
        )
