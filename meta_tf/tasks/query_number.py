"""How many query examples a class is asked for, where nobody has said."""

from __future__ import annotations

import numpy as np

from meta_tf.checks import check_integer

_MOST = 15  # as in most papers


def queries_or_default(
    queries: int | None, counts: np.ndarray, shots: int, train_shots: int | None = None
) -> int:
    """Gives `queries`, or if it is None what the smallest class leaves, at most 15.

    At least 1, so that the error for a class that is too small names the class.

    Args:
      queries: query examples per class, or None.
      counts: how many examples each class has.
      shots: support examples per class.
      train_shots: those of the training part, if others.

    Raises:
      ValueError: if a number is not a whole one of at least 1.

    Example:
      >>> queries_or_default(None, np.array([10, 30]), shots=1)
      9
    """
    check_integer("shots", shots, at_least=1)
    if train_shots is not None:
        check_integer("train_shots", train_shots, at_least=1)
    if queries is not None:
        check_integer("queries", queries, at_least=1)
        return queries
    return max(1, min(_MOST, int(counts.min()) - max(shots, train_shots or 0)))
