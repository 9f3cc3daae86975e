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
            self._see_one_of_many_alike(x["support_y"][0].numpy(), len(y[0]))
            return
        sets = (x["support_y"], x["support_size"], y, x["query_size"])
        for support_y, s, query_y, q in zip(*(t[:tasks].numpy() for t in sets), strict=True):
            self._see_task(support_y[:s], query_y[:q])

    def of_all(self) -> dict[str, Any]:
        """The arguments of an `Evaluation`: `ways`, `shots` and `queries`."""
        return {name: _range(numbers) for name, numbers in self._seen.items()}

    def _see_one_of_many_alike(self, support_y: np.ndarray, queries: int) -> None:
        ways = len(np.unique(support_y)) if _are_classes(support_y) else None
        each = ways or 1
        self._add([] if ways is None else [ways], [len(support_y) // each], [queries // each])

    def _see_task(self, support_y: np.ndarray, query_y: np.ndarray) -> None:
        if not _are_classes(support_y):
            self._add([], [len(support_y)], [len(query_y)])
            return
        counts = [np.unique(y, return_counts=True)[1].tolist() for y in (support_y, query_y)]
        self._add([len(counts[0])], *counts)

    def _add(self, *numbers: list[int]) -> None:
        for seen, new in zip(self._seen.values(), numbers, strict=True):
            seen.update(new)


def _are_classes(y: np.ndarray) -> bool:
    return y.dtype.kind in "iu" and y.ndim == 1


def _range(numbers: set[int]) -> int | tuple[int, int] | None:
    if not numbers:
        return None
    first, last = min(numbers), max(numbers)
    return first if first == last else (first, last)
