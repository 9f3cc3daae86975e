"""Tasks from groups of examples: each patient, speaker or vehicle is a task."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from meta_tf.checks import check_choice, check_integer, check_unmasked, shown, without_objects
from meta_tf.tasks.divide import split_groups
from meta_tf.tasks.examples import as_examples, numbered
from meta_tf.tasks.group_split import Cells, GroupSplit, shots_of
from meta_tf.tasks.source import Kind, Source

_NO_CLASSES = "if these are not classes, pass floats as `y` (for a table, kind='regression')"


def from_groups(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    shots: int | float = 5,
    queries: int | None = None,
    support: Literal["random", "first"] = "random",
    time: ArrayLike | None = None,
    split: Sequence[float] | Sequence[Sequence[Any]] = (0.64, 0.16, 0.20),
    seed: int = 0,
) -> Source:
    """Makes a task from every group of examples: learn a new patient, speaker or vehicle.

    Each split has its own groups, so validation and test measure what is wanted in the end:
    learning a group that training has not seen. A task of `batches` is a random group, with as many
    of its examples as all groups have, because all tasks of a batch have one shape; other examples
    of larger groups appear in other tasks. `tasks.test.whole_groups()` gives every group with *all*
    its other examples as queries, one task per batch, for `meta_tf.evaluate`.

    Args:
      x: the inputs, [n, ...] with any shape after the first axis. uint8 is scaled from
        0 … 255 to [0, 1]; floats become float32, other integers int32.
      y: floats, [n] or [n, D], make regression tasks, with targets [n, 1] or [n, D]. Integers,
        strings or booleans, [n], make classification tasks: N classes, numbered in sorted
        order, the same in all tasks. For regression with whole numbers, use .astype(float).
      groups: the group of each example, [n], integers or strings.
      shots: the size of a support set; for classification, of each class. A number, or a
        fraction below 1.0 of a group's examples. In `batches`, the fraction refers to the
        smallest group (and class), in `whole_groups` to each group.
      queries: the size of a query set of `batches`, likewise; if None, as many as the smallest
        group has left.
      support: `"random"` draws the support set; `"first"` takes the earliest examples, so
        that a task predicts later examples from them.
      time: the time of each example, [n] numbers; the order of the examples if None.
      split: the fractions of the groups in the three splits, which add up to 1; or three
        disjoint lists of groups. Groups in no list are left out.
      seed: for fractions, chooses the groups of each split, together with the groups' names only.

    Returns:
      A `Source`, whose splits are `meta_tf.tasks.GroupSplit`s, with the names of their groups in
      `groups`.

    Raises:
      ValueError: if the arrays do not fit together, a list contains an unknown group or one of
        another list, a split has no groups, or a group has too few examples.

    Example:
      >>> rng = np.random.default_rng(0)
      >>> patient, dose = np.arange(300) % 30, rng.uniform(size=[300, 1])
      >>> effect = dose[:, 0] * (1 + patient % 3) + 0.1 * rng.normal(size=[300])
      >>> tasks = meta_tf.tasks.from_groups(dose, effect, patient, shots=4)
      >>> tasks.queries, len(tasks.test.groups)
      (6, 6)
      >>> x, query_y = next(iter(tasks.train.batches(8)))
      >>> x["support_x"].shape, query_y.shape
      (TensorShape([8, 4, 1]), TensorShape([8, 6, 1]))
    """
    check_choice("support", support, ("random", "first"))
    check_integer("seed", seed, at_least=0)
    inputs, targets, of_group = (
        _array(*given) for given in (("x", x), ("y", y), ("groups", groups))
    )
    _check_shapes(inputs, targets, of_group)
    inputs = as_examples("x", inputs)
    kind, targets, classes = _targets(targets)
    names, of_group = numbered("groups", of_group, "group")
    divided = split_groups(names, split, seed)
    used = sorted(row for rows in divided for row in rows)
    _check_rows(np.bincount(of_group), used, names, classes)
    cells = _cells(inputs, targets, of_group, len(names), classes, _times(time, len(inputs)))
    per_task = _per_task(shots, queries, cells.counts[used], [names[row] for row in used], classes)
    share = None if isinstance(shots, numbers.Integral) else float(shots)
    made = [
        GroupSplit(
            cells.of_groups(rows),
            [names[row] for row in rows],
            shots=per_task[0],
            queries=per_task[1],
            share=share,
            first=support == "first",
            stream=stream,
        )
        for stream, rows in enumerate(divided)
    ]
    ways = None if kind == "regression" else len(classes)
    return Source(kind, made, ways=ways, shots=per_task[0], queries=per_task[1])


def _cells(
    x: np.ndarray,
    y: np.ndarray,
    of_group: np.ndarray,
    groups: int,
    classes: Sequence[Any],
    times: np.ndarray,
) -> Cells:
    """The examples sorted by group, class and time."""
    ways = max(1, len(classes))
    labels = y if classes else np.zeros(len(y), np.int64)
    order = np.lexsort([times, labels, of_group])
    counts = np.bincount(of_group * ways + labels, minlength=groups * ways)
    starts = np.cumsum(counts) - counts
    with tf.device("CPU:0"):
        tensors = tf.constant(x[order]), tf.constant(y[order])
    return Cells(*tensors, starts.reshape(groups, ways), counts.reshape(groups, ways))


def _targets(y: np.ndarray) -> tuple[Kind, np.ndarray, list[Any]]:
    """The kind of tasks, the targets for the loss, and the classes."""
    if y.dtype.kind == "f" and y.ndim in (1, 2):
        targets = as_examples("y", y if y.ndim == 2 else y[:, np.newaxis])
        return "regression", targets, []
    if y.dtype.kind in "biuSU" and y.ndim == 1:
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"`y` must contain at least two classes. Received: only {classes.tolist()[0]!r}. "
                "For regression, pass floats."
            )
        return "classification", labels.reshape(-1).astype(np.int32), classes.tolist()
    raise ValueError(
        "`y` must be floats, [n] or [n, D], for regression; or integers, strings or booleans, "
        f"[n], for classification. Received: y of shape {y.shape} and dtype {y.dtype}. Convert it "
        "with .astype(float), .astype(int) or .astype(str)."
    )


def _times(time: ArrayLike | None, examples: int) -> np.ndarray:
    if time is None:
        return np.arange(examples)
    times = _array("time", time)
    if times.shape != (examples,) or times.dtype.kind not in "iufM" or np.isnan(times).any():
        raise ValueError(
            f"`time` must be [n] numbers or dates, one for each of the {examples} examples, "
            f"without gaps. Received: time of shape {times.shape} and dtype {times.dtype}."
        )
    return times


def _per_task(
    shots: int | float,
    queries: int | None,
    counts: np.ndarray,
    names: Sequence[str],
    classes: Sequence[Any],
) -> tuple[int, int]:
    """The numbers of support and query examples, of each class, in every group; or ValueError.

    `counts`: the number of examples of each class in the groups `names`, [G, N].
    """
    group, label = divmod(int(counts.argmin()), counts.shape[1])
    least = int(counts[group, label])
    if isinstance(shots, numbers.Integral):
        check_integer("shots", shots, at_least=1)
        number = int(shots)
    elif isinstance(shots, numbers.Real) and 0 < shots < 1:
        number = max(1, shots_of(float(shots), least))
    else:
        raise ValueError(
            "`shots` must be a number of examples of at least 1, or a fraction above 0.0 and "
            f"below 1.0. Received: {shown(shots)}."
        )
    if queries is not None:
        check_integer("queries", queries, at_least=1)
    rest = max(1, least - number) if queries is None else int(queries)
    if number + rest > least:
        each, of_class, more = "", "", ""
        if classes:
            each, of_class = " of each class", f" of class {classes[label]!r}"
            more = f" and rare classes; or, {_NO_CLASSES}"
        raise ValueError(
            f"Every group must have shots + queries = {number} + {rest} examples{each}, as no "
            f"example can be in both sets. Received: group {names[group]!r} with "
            f"{least}{of_class}. Lower `shots` or `queries`, or leave out small groups{more}."
        )
    return number, rest


def _array(name: str, values: ArrayLike) -> np.ndarray:
    check_unmasked(name, values)
    try:
        return without_objects(np.asarray(values))
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"`{name}` must be an array, or lists of the same length. Received: "
            f"{type(values).__name__}; {error}"
        ) from error


def _check_shapes(x: np.ndarray, y: np.ndarray, of_group: np.ndarray) -> None:
    lengths = {len(a) if a.ndim else None for a in (x, y, of_group)}
    if x.ndim < 2 or of_group.ndim != 1 or not x.size * y.size or len(lengths) != 1:
        raise ValueError(
            "`x` must be [n, ...], with at least one axis after the first, `y` [n] or [n, D] and "
            f"`groups` [n], with n and D above 0. Received: x of shape {x.shape}, y of shape "
            f"{y.shape} and groups of shape {of_group.shape}. Reshape single numbers to [n, 1] "
            "with x[:, None]."
        )


def _check_rows(
    rows: np.ndarray, used: Sequence[int], names: Sequence[str], classes: Sequence[Any]
) -> None:
    """Raises ValueError if there are far too many classes, as for numbers that are not classes.

    It runs before the table of groups x classes is made, which might not fit in memory.
    """
    smallest = min(used, key=lambda row: int(rows[row]))
    if len(rows) * len(classes) > rows.sum() and rows[smallest] < 2 * len(classes):
        raise ValueError(
            "Every group must have at least 2 examples of each class, one support example and one "
            f"query. Received: {len(classes)} classes, and group {names[smallest]!r} with "
            f"{rows[smallest]} examples. Leave out small groups and rare classes; or, "
            f"{_NO_CLASSES}."
        )
