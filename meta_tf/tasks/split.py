"""Divides classes among training, validation and test by their names only."""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Sequence

from meta_tf.checks import shown


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
