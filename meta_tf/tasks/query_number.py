"""The default number of query examples of a class."""

from __future__ import annotations

import numpy as np

from meta_tf.tasks.size_range import SizeRange, ends_of

_MOST = 15  # as in most papers


def queries_or_default(
    queries: SizeRange | None,
    counts: np.ndarray,
    shots: SizeRange,
    train_shots: SizeRange | None = None,
) -> SizeRange:
    """Returns `queries`, or if it is None what the smallest class has beyond its shots, at most 15.

    It is at least 1, so that the error for a class that is too small names the class.

    Args:
      queries: query examples per class, a number or a range, or None.
      counts: the number of examples of each class.
      shots: support examples per class.
      train_shots: those of the training part, if different.

    Raises:
      ValueError: if a number is not a whole number of at least 1, or a range not two of these.
      ValueError: if a number is not a whole one of at least 1, or a range not one of such.

    Example:
      >>> queries_or_default(None, np.array([10, 30]), shots=1)
      9
    """
    _, most = ends_of("shots", shots)
    if train_shots is not None:
        most = max(most, ends_of("train_shots", train_shots)[1])
    if queries is not None:
        ends_of("queries", queries)
        return queries
    return max(1, min(_MOST, int(counts.min()) - most))
