"""`TaskSizes`: the ways, shots and queries of the tasks in an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from meta_tf.batch.sizes import sizes_in
from meta_tf.types import Tensor


class TaskSizes:
    """Ways, shots and queries of tasks: each a number, or the smallest and the largest one.

    Example:
      >>> x, y = next(iter(meta_tf.tasks.Sinusoid(shots=10).test.batches(2)))
      >>> seen = TaskSizes()
      >>> seen.see(x, y)
      >>> seen.of_all()
      {'ways': None, 'shots': 10, 'queries': 10}
    """

    def __init__(self) -> None:
        self._ways: set[int] = set()
        self._shots: set[int] = set()
        self._queries: set[int] = set()

    def see(self, x: dict[str, Any], y: Tensor, tasks: int = 1) -> None:
        """Records the sizes of the first tasks of a batch; without padding, one task is enough.

        Args:
          x: the batch, of eager tensors.
          y: its query targets.
          tasks: the number of tasks.
        """
        if not sizes_in(x):
            self._see_one_of_many_alike(x["support_y"][0].numpy(), len(y[0]))
            return
        sets = (x["support_y"], x["support_size"], y, x["query_size"])
        for support_y, s, query_y, q in zip(*(t[:tasks].numpy() for t in sets), strict=True):
            self._see_task(support_y[:s], query_y[:q])

    def of_all(self) -> dict[str, Any]:
        """The arguments of an `Evaluation`: `ways`, `shots` and `queries`."""
        sizes = {"ways": self._ways, "shots": self._shots, "queries": self._queries}
        return {name: _range(numbers) for name, numbers in sizes.items()}

    def _see_one_of_many_alike(self, support_y: np.ndarray, queries: int) -> None:
        ways = 1
        if _are_classes(support_y):
            ways = len(np.unique(support_y))
            self._ways.add(ways)
        self._shots.add(len(support_y) // ways)
        self._queries.add(queries // ways)

    def _see_task(self, support_y: np.ndarray, query_y: np.ndarray) -> None:
        if not _are_classes(support_y):
            self._shots.add(len(support_y))
            self._queries.add(len(query_y))
            return
        classes, shots = np.unique(support_y, return_counts=True)
        self._ways.add(len(classes))
        self._shots.update(shots.tolist())
        self._queries.update(np.unique(query_y, return_counts=True)[1].tolist())


def _are_classes(y: np.ndarray) -> bool:
    return y.dtype.kind in "iu" and y.ndim == 1


def _range(numbers: set[int]) -> int | tuple[int, int] | None:
    if not numbers:
        return None
    first, last = min(numbers), max(numbers)
    return first if first == last else (first, last)
