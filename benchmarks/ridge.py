"""Ridge regression for new groups: shared weights, and a correction from the support set."""

from __future__ import annotations

import numpy as np

from meta_tf.evaluation.pooled import Group, PooledRidge

Task = tuple[np.ndarray, ...]
ROWS = ("population ridge", "and an offset of the patient", "and ridge on the support set")


def errors(known: list[Group], tasks: list[Task]) -> dict[str, list[float]]:
    """The mean squared errors of three baselines on every task.

    Args:
      known: x [n, D] and y [n, 1] of each known group.
      tasks: support_x, support_y, query_x, query_y of each new group.
    """
    ridge = PooledRidge(known)
    print(f"penalties: {ridge.common:g} in common, {ridge.own:g} of a patient")
    rows: dict[str, list[float]] = {name: [] for name in ROWS}
    for *task, query_y in tasks:
        for name, predictions in zip(ROWS, ridge.predictions(*task).values(), strict=True):
            rows[name].append(float(np.mean((query_y - predictions) ** 2)))
    return rows
