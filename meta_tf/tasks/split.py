"""Divides classes, or groups, among training, validation and test by their names only."""

from __future__ import annotations

import hashlib
import math
import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from meta_tf.checks import few, shown
from meta_tf.tasks.examples import as_text
from meta_tf.tasks.source import PARTS


def shuffled(names: Sequence[str], seed: int = 0) -> list[str]:
    """Puts names in an order that looks random, and depends only on the seed.

    It is the order of the names' SHA-256 digests, and so the same on every machine.
    """
    before = f"{seed}/" if seed else ""

    def digest(name: str) -> bytes:
        # Folder names are not always valid text.
        return hashlib.sha256(f"{before}{name}".encode("utf-8", "surrogateescape")).digest()

    return sorted(names, key=digest)


def split_by_fractions(
    names: Sequence[str], fractions: Sequence[float], seed: int = 0
) -> list[list[str]]:
    """Divides the names of classes or groups, in any order, among training, validation and test.

    Raises ValueError unless `fractions` are three numbers of 0 or more with sum 1.
    """
    try:
        parts = [part for part in fractions if isinstance(part, numbers.Real) and part >= 0]
        right = len(parts) == len(fractions) == 3 and math.isclose(sum(parts), 1.0)
    except TypeError:  # not a sequence
        right = False
    if not right:
        raise ValueError(
            "`split` must be three fractions, for training, validation and test, that add up to "
            f"1, such as (0.64, 0.16, 0.2). Received: split={shown(fractions)}."
        )
    ordered = shuffled(names, seed)
    one, two = (round(len(names) * float(sum(parts[:end]))) for end in (1, 2))
    return [ordered[:one], ordered[one:two], ordered[two:]]


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
