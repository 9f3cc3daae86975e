"""Tasks from a table: a CSV or Parquet file, or a pandas DataFrame."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meta_tf.checks import check_choice, check_kind, shown
from meta_tf.tasks.column import Column
from meta_tf.tasks.columns import Columns, check_present
from meta_tf.tasks.groups import from_groups
from meta_tf.tasks.read_table import read_table, with_levels
from meta_tf.tasks.source import SPLITS, Source

_FRACTIONS = (0.64, 0.16, 0.20)
_WHY_NOT = {
    "target": "which is unknown for predictions",
    "group": "as training has seen none of the groups to learn",
}


def from_table(
    data: str | Path | Any,
    target: str,
    group: str,
    features: Sequence[str] | None = None,
    time: str | None = None,
    kind: Literal["auto", "regression", "classification"] = "auto",
    shots: int | float = 5,
    queries: int | None = None,
    support: Literal["random", "first"] = "random",
    split: Sequence[float] | Sequence[Sequence[Any]] | str | Path = _FRACTIONS,
    seed: int = 0,
    columns: Columns | None = None,
) -> Source:
    """Makes a task from every group of a table's rows; see `meta_tf.tasks.from_groups`.

    Rows are not scaled: call `MetaLearner.standardize(tasks.train)` so that the learner scales
    them. Needs pandas, and for Parquet pyarrow: `pip install '.[table]'` in a checkout.

    Args:
      data: the path of a .csv or .parquet file, with column names; a `pandas.DataFrame` (or
        another library's table that has `to_pandas`); or a dictionary of columns.
      target: the column to predict.
      group: the column with the group of each row.
      features: the columns to predict from: numbers, True and False, or texts, which are
        categories. They may have gaps, which the learner fills with the mean of the training groups
        and sees as such. If None, all except `target`, `group` and `time`, and except columns that
        only number the rows: those without a name, as pandas and R write them, and those that count
        0, 1, 2 … or 1, 2, 3 … down the table. A line lists them.
      time: the column of numbers or dates that orders the rows of a group, for
        `support="first"`. To predict from it too, add it to `features`.
      kind: `"auto"` treats text, True and False, and whole numbers with at most 20 distinct
        values (as integers or floats) as classes, and other numbers as regression targets. A
        line says which.
      shots: as in `from_groups`.
      queries: as in `from_groups`.
      support: which rows of a group are its support set: `"random"` ones, or the `"first"` ones,
        in the order of `time` or of the table.
      split: the groups of each split: the path of a JSON file
        `{"train": [...], "valid": [...], "test": [...]}`, three such lists, or three fractions.
      seed: as in `from_groups`.
      columns: what a learner knows of its columns, `learner.columns`, to evaluate it on another
        table: features, categories and classes have the same numbers as in training, and `kind`
        has no meaning.

    Returns:
      A `Source`, with examples of shape (number of features,). Its `columns` describe them, and
      `columns.rows(table)` makes examples of new rows. Texts are numbers of categories in them,
      and gaps the lowest number of float32: `MetaLearner.standardize` gives the network one input
      for each category, `columns.width` in all.

    Raises:
      ValueError: if pandas is missing, the file cannot be read, a column does not exist, has two
        roles, has gaps or does not contain numbers, or if `from_groups` raises it.

    Example:
      >>> tasks = meta_tf.tasks.from_table("patients.csv", target="effect", group="patient")
      ... # doctest: +SKIP
    """
    check_choice("kind", kind, ("auto", "regression", "classification"))
    table = with_levels(read_table(data), [_as_text(n) for n in (target, group, time)])
    roles = _roles(table, target, group, time)
    if columns is not None:
        check_kind("columns", columns, Columns, "those of a learner, learner.columns")
        check_present(table, columns.features)
        features = columns.features if features is None else features
    names, left_out = _features(table, features, roles)
    targets, groups = Column(table, roles["target"]), Column(table, roles["group"])
    known = columns
    if known is None:
        columns = _columns_of(table, names, left_out, targets, groups, kind)
    else:
        columns = dataclasses.replace(
            known, features=tuple(names), target=targets.name, group=groups.name
        )
        columns.print_news(table)
    if not columns.classes:
        y = targets.in_float32()
    else:
        y = targets.labels() if known is None else _known_labels(columns, table)
    source = from_groups(
        columns.rows(table),
        y,
        groups.texts(),
        shots=shots,
        queries=queries,
        support=support,
        time=Column(table, roles["time"]).times() if "time" in roles else None,
        split=_lists_in(split) if isinstance(split, str | Path) else split,
        seed=seed,
    )
    source.columns = columns
    for each in (source.train, source.valid, source.test):
        each.columns = columns
    return source


def _roles(table: Any, target: str, group: str, time: str | None) -> dict[str, str]:
    """The columns by their roles; ValueError unless they exist and differ."""
    given = {"target": target, "group": group} | ({} if time is None else {"time": time})
    roles = {role: _as_text(name) for role, name in given.items()}
    for role, name in roles.items():
        _check_columns(table, role, [name])
    if len(set(roles.values())) < len(roles):
        raise ValueError(
            f"`{'`, `'.join(roles)}` must be different columns. Received: "
            f"{', '.join(map(repr, roles.values()))}."
        )
    return roles


def _known_labels(columns: Columns, table: Any) -> np.ndarray:
    """The numbers of the classes of rows; ValueError unless all classes of a training are there."""
    labels = columns.labels(table)
    if len(np.unique(labels)) < len(columns.classes):
        received = ", ".join(sorted(set(Column(table, columns.target).texts())))
        raise ValueError(
            f"The column {columns.target!r} must hold all classes of the training: "
            f"{', '.join(columns.classes)}. Received: {received}."
        )
    return labels


def _columns_of(
    table: Any,
    names: Sequence[str],
    left_out: Sequence[str],
    targets: Column,
    groups: Column,
    kind: str,
) -> Columns:
    """What a table holds; a line says what is not obvious."""
    chosen = targets.kind() if kind == "auto" else kind
    if chosen == "regression":
        targets.check_differences()
    found = {name: Column(table, name) for name in names}
    categories = {n: column.categories() for n, column in found.items() if column.are_texts()}
    if kind == "auto" or left_out:
        print(_description(targets.name, chosen, names, left_out, categories), flush=True)
    for name, column in found.items():
        if name not in categories:
            column.check_differences()
        elif line := column.as_numbers_say():
            print(line, flush=True)
    gaps = tuple(n for n in names if n not in categories and table[n].isna().any())
    classes = () if chosen == "regression" else np.unique(targets.labels()).astype(str).tolist()
    return Columns(tuple(names), categories, gaps, targets.name, tuple(classes), groups.name)


def _description(
    target: str,
    kind: str,
    features: Sequence[str],
    left_out: Sequence[str],
    categories: dict[str, tuple[str, ...]],
) -> str:
    """The choices, in one line."""
    each = [f"{n} ({len(categories[n])} categories)" if n in categories else n for n in features]
    shown = ", ".join(each[:8]) + (", …" if len(each) > 8 else "")
    word = "feature" if len(features) == 1 else "features"
    line = f"Each task is a {kind} of {target!r} from {len(features)} {word}: {shown}."
    if left_out:
        line += f" Left out, as row numbers: {', '.join(map(repr, left_out))}."
    return f"{line} To change this, set `kind` (--kind) and `features` (--features)."


def _features(
    table: Any, features: Sequence[str] | None, roles: dict[str, str]
) -> tuple[list[str], list[str]]:
    """The names of the features, and of the columns left out."""
    if features is None:
        others = [name for name in table.columns if name not in roles.values()]
        left_out = [name for name in others if _numbers_rows(table, name)]
        names = [name for name in others if name not in left_out]
    else:
        try:
            given = [features] if isinstance(features, str) else features
            names, left_out = [_as_text(name) for name in given], []
        except TypeError:
            raise ValueError(
                f"`features` must be column names. Received: {shown(features)}."
            ) from None
    if not names:
        raise ValueError("`features` must name at least one column. Received: none.")
    _check_columns(table, "features", names)
    for role in ("target", "group"):
        if roles[role] in names:
            raise ValueError(
                f"`features` must not contain the {role}, {_WHY_NOT[role]}. Received: "
                f"{roles[role]!r} among them."
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"`features` must not repeat a column. Received: {twice[0]!r} twice.")
    return names, left_out


def _numbers_rows(table: Any, name: Any) -> bool:
    """Whether a column has no name, or counts the rows."""
    if str(name).startswith("Unnamed: "):  # pandas's name for such a column
        return True
    column = table[name]
    if column.dtype.kind not in "iu" or column.isna().any() or len(column) < 2:
        return False
    counted = column.to_numpy(np.int64) - np.arange(len(column))
    return bool(counted[0] in (0, 1) and (counted == counted[0]).all())


def _as_text(name: Any) -> Any:
    """The name of a column, which may be a number, as `read_table` writes it."""
    return str(name) if isinstance(name, Hashable) else name


def _check_columns(table: Any, argument: str, names: Sequence[str]) -> None:
    for name in names:
        if not isinstance(name, Hashable) or name not in table.columns:
            raise ValueError(
                f"`{argument}` must name a column of the table: "
                f"{', '.join(map(str, table.columns))}. Received: {shown(name)}."
            )
        if argument != "features" or table[name].isna().all():
            Column(table, name).check_gaps(argument)


def _lists_in(path: str | Path) -> list[list[str]]:
    """The three lists from a JSON file."""
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        lists = [content[name] for name in SPLITS]
        if not all(isinstance(names, list) for names in lists):
            raise TypeError("one of the three is not a list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = getattr(error, "strerror", None) or f"{error} is missing"
        if isinstance(error, ValueError | TypeError):
            why = f"it is not JSON: {error}" if isinstance(error, ValueError) else str(error)
        raise ValueError(
            "`split` must be a JSON file of the groups of each split, "
            f'{{"train": [...], "valid": [...], "test": [...]}}. Received: {path}; {why}.'
        ) from error
    return [[str(name) for name in names] for names in lists]
