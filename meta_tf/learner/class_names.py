"""Class names of one task, in place of class numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from meta_tf.checks import few


def numbered(support_y: Any, class_names: Sequence[str] | None) -> tuple[Any, tuple[str, ...]]:
    """Labels as class numbers, and the class names in the order of these numbers.

    Args:
      support_y: the targets [S, ...]; names [S] are converted to numbers.
      class_names: the names in the order of the numbers; if None, names in `support_y` are
        numbered in alphabetical order.

    Returns:
      The numbers (other targets unchanged), and the names, empty if there are none.

    Raises:
      ValueError: if `class_names` are not distinct strings, or lack a name for a label.

    Example:
      >>> labels, names = numbered(["dog", "cat", "dog"], None)
      >>> labels.tolist(), names
      ([1, 0, 1], ('cat', 'dog'))
    """
    values = _texts(support_y)
    if class_names is None:
        if values is None:
            return support_y, ()
        found, places = np.unique(values, return_inverse=True)
        return places.reshape(values.shape).astype("int32"), tuple(found.tolist())
    names = _checked(class_names)
    if values is None:
        labels = np.asarray(support_y)
        if labels.dtype.kind in "iu" and labels.size and labels.max() >= len(names):
            raise ValueError(
                "`class_names` must have a name for every class number of `support_y`. Received: "
                f"{len(names)} names, and a largest label of {labels.max()}."
            )
        return support_y, names
    if unknown := sorted(set(values.reshape(-1).tolist()) - set(names)):
        raise ValueError(
            f"`support_y` must hold names of `class_names`, {few(names)}. Received: {few(unknown)}."
        )
    number = {name: i for i, name in enumerate(names)}
    numbers = [number[name] for name in values.reshape(-1).tolist()]
    return np.array(numbers, "int32").reshape(values.shape), names


def distinct(names: Sequence[str]) -> Sequence[str] | None:
    """The names of folders, unless replacement characters have made two of them equal."""
    return names if len(set(names)) == len(names) else None


def _texts(labels: Any) -> np.ndarray | None:
    """Labels as an array of strings; None unless all of them are strings."""
    try:
        values = np.asarray(labels)
    except ValueError:  # lists of different lengths, which the check of targets reports
        return None
    kind = values.dtype.kind
    if kind == "U":
        return values
    if kind not in "OS":
        return None
    listed = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values.flat]
    if not listed or not all(isinstance(v, str) for v in listed):
        return None
    return np.array(listed).reshape(values.shape)


def _checked(class_names: Sequence[str]) -> tuple[str, ...]:
    # Neither a single string nor a set, which has no order.
    unordered = isinstance(class_names, str | bytes | set | frozenset | dict)
    listed = isinstance(class_names, Iterable) and not unordered
    names = tuple(class_names) if listed else ()
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise ValueError(
            "`class_names` must be a list of distinct names, one for each class number from 0. "
            f"Received: {class_names!r}."
        )
    return tuple(map(str, names))
