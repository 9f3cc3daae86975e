"""The memory of this machine, to reject early what cannot fit in it."""

from __future__ import annotations

import math
import os


def memory() -> float:
    """The bytes of memory of this machine; infinity if the system does not report them."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # on Windows
        return math.inf
