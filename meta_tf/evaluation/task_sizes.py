"""`TaskSizes`: the ways, shots and queries of the tasks in an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_tf.batch.sizes import sizes_in
from meta_tf.types import Tensor


class TaskSizes:
    """Ways, shots and queries of tasks: each a number, or the smallest and the largest one."""

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = {"ways": set(), "shots": set(), "queries": set()}

    def see(self, x: dict[str, Any], y: Tensor, tasks: int = 1) -> None:
        """Records the sizes of the first tasks of a batch; without padding, one task is enough."""
        if not sizes_in(x):
            self._add(x["support_y"][0].numpy(), y[0].numpy(), alike=True)
            return
        sets = (x["support_y"], x["support_size"], y, x["query_size"])
        for support_y, s, query_y, q in zip(*(t[:tasks].numpy() for t in sets), strict=True):
            self._add(support_y[:s], query_y[:q])

    def of_all(self) -> dict[str, Any]:
        """The arguments of an `Evaluation`: `ways`, `shots` and `queries`."""
        return {name: _range(numbers) for name, numbers in self._seen.items()}

    def _add(self, support_y: np.ndarray, query_y: np.ndarray, alike: bool = False) -> None:
        """Records a task; if it stands for others, the mean numbers of its classes."""
        found = [[], [len(support_y)], [len(query_y)]]
        if support_y.dtype.kind in "iu" and support_y.ndim == 1:
            counts = [np.unique(y, return_counts=True)[1].tolist() for y in (support_y, query_y)]
            ways = len(counts[0])
            if alike:
                counts = [[len(y) // ways] for y in (support_y, query_y)]
            found = [[ways], *counts]
        for seen, new in zip(self._seen.values(), found, strict=True):
            seen.update(new)


def _range(numbers: set[int]) -> int | tuple[int, int] | None:
    if not numbers:
        return None
    first, last = min(numbers), max(numbers)
    return first if first == last else (first, last)
