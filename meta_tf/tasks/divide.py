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
from meta_tf.tasks.source import SPLITS


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
        shares = [share for share in fractions if isinstance(share, numbers.Real) and share >= 0]
        right = len(shares) == len(fractions) == 3 and math.isclose(sum(shares), 1.0)
    except TypeError:  # not a sequence
        right = False
    if not right:
        raise ValueError(
            "`split` must be three fractions, for training, validation and test, that add up to "
            f"1, such as (0.64, 0.16, 0.2). Received: split={shown(fractions)}."
        )
    ordered = shuffled(names, seed)
    one, two = (round(len(names) * float(sum(shares[:end]))) for end in (1, 2))
    return [ordered[:one], ordered[one:two], ordered[two:]]


def split_groups(
    names: Sequence[str], split: Sequence[float] | Sequence[Sequence[Any]], seed: int = 0
) -> list[list[int]]:
    """Three disjoint lists of indices into `names`, not empty: training, validation and test.

    `split`: as in `from_groups`, or a dictionary with "train", "valid" and "test". `seed`: chooses
    the groups of each split if `split` is fractions. Raises ValueError if `split` is invalid.
    """
    given: Any = split
    if isinstance(given, Mapping) and set(given) == set(SPLITS):
        given = [given[name] for name in SPLITS]
    listed = _listed(given)
    if all(isinstance(share, numbers.Real) for share in listed):
        chosen = split_by_fractions(names, listed, seed)
    else:
        chosen = [[as_text(name) for name in _listed(groups, " in it")] for groups in listed]
        _check_lists(names, chosen)
    for name, groups in zip(SPLITS, chosen, strict=True):
        if not groups:
            raise ValueError(
                f"`split` must leave groups for each split. Received: none for {name}, of "
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


def _check_lists(names: Sequence[str], lists: Sequence[Sequence[str]]) -> None:
    if len(lists) != 3:
        raise ValueError(
            "`split` must be three lists of groups, for training, validation and test. Received: "
            f"{len(lists)}."
        )
    listed = [name for groups in lists for name in groups]
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
