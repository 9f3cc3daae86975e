"""Tasks from a table: a file of comma-separated values or Parquet, or a pandas DataFrame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meta_tf.checks import check_choice, check_switch
from meta_tf.tasks.group_split import split_groups
from meta_tf.tasks.groups import from_groups
from meta_tf.tasks.source import PARTS, Source

_FRACTIONS = (0.64, 0.16, 0.20)


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
    standardize: bool = True,
) -> Source:
    """Makes a task of every group of a table's rows; see `meta_tf.tasks.from_groups`.

    Needs pandas, and for Parquet pyarrow: `pip install '.[table]'` in a checkout.

    Args:
      data: the path of a .csv or .parquet file, with column names; or a `pandas.DataFrame`.
      target: the column to predict.
      group: the column that tells whose row it is.
      features: the columns to predict from, numbers or True and False; all others but
        `target`, `group` and `time` if None.
      time: the column by which a group's rows are ordered, for `support="first"`. Name it in
        `features` too if it is to be predicted from.
      kind: `"auto"` takes a target of whole numbers or text for classes.
      shots: as in `from_groups`.
      queries: as in `from_groups`.
      support: as in `from_groups`.
      split: as in `from_groups`; or the path of a JSON file with the lists,
        `{"train": [...], "valid": [...], "test": [...]}`.
      seed: as in `from_groups`.
      standardize: whether each feature is shifted and scaled to mean 0 and variance 1 over the
        rows of the training groups. The target is left as it is.

    Returns:
      A `Source`, with examples of shape (number of features,).

    Raises:
      ValueError: if pandas is missing, the file cannot be read, a column is not there, holds
        something else than numbers, or has gaps; or as `from_groups` says.

    Example:
      >>> tasks = meta_tf.tasks.from_table("patients.csv", target="effect", group="patient")
      ... # doctest: +SKIP
    """
    check_choice("kind", kind, ("auto", "regression", "classification"))
    check_switch("standardize", standardize)
    table = _read(data)
    _check_columns(table, "target", [target])
    _check_columns(table, "group", [group])
    _check_columns(table, "time", [] if time is None else [time])
    left_out = {target, group, time}
    names = [c for c in table.columns if c not in left_out] if features is None else list(features)
    if not names:
        raise ValueError("`features` must name a column at least. Received: none.")
    _check_columns(table, "features", names)
    x = np.stack([_numbers(table, name) for name in names], 1)
    y, groups = _target(table, target, kind), _names(table, group)
    lists = _lists_in(split) if isinstance(split, str | Path) else split
    if standardize:
        x = _standardized(x, groups, lists, seed)
    return from_groups(
        x.astype(np.float32),
        y,
        groups,
        shots=shots,
        queries=queries,
        support=support,
        time=None if time is None else _numbers(table, time),
        split=lists,
        seed=seed,
    )


def _read(data: Any) -> Any:
    """The table as a `pandas.DataFrame`."""
    try:
        import pandas
    except ImportError as error:
        raise ValueError(
            "`data` needs pandas to be read. Install it, in a checkout of meta_tf: "
            "pip install '.[table]'"
        ) from error
    if isinstance(data, pandas.DataFrame):
        return data
    path = Path(data).expanduser()
    readers = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet}
    if path.suffix not in readers or not path.is_file():
        raise ValueError(
            f"`data` must be a .csv or .parquet file. Received: {path}, looked for in {Path.cwd()}."
        )
    try:
        return readers[path.suffix](path)
    except (ImportError, ValueError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"`data` cannot be read. Received: {path}; pandas says: {reason}"
        ) from error


def _check_columns(table: Any, argument: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise ValueError(
                f"`{argument}` must name a column of the table: "
                f"{', '.join(map(str, table.columns))}. Received: {name!r}."
            )
        gaps = int(table[name].isna().sum())
        if gaps:
            raise ValueError(
                f"`{argument}` must be columns without gaps. Received: {name!r}, in which {gaps} "
                f"of {len(table)} rows are empty. Fill or drop these rows."
            )


def _numbers(table: Any, name: str) -> np.ndarray:
    column = table[name]
    if column.dtype.kind not in "iufb":
        raise ValueError(
            f"The column {name!r} must hold numbers. Received: {column.dtype}, such as "
            f"{column.iloc[0]!r}. Turn it into numbers, or leave it out by `features`."
        )
    return column.to_numpy(np.float64)


def _names(table: Any, name: str) -> np.ndarray:
    """A column as texts, whole numbers without a point even if they were read as floats."""
    column = table[name]
    if column.dtype.kind == "f" and (column == column.round()).all():
        column = column.astype(np.int64)
    return column.astype(str).to_numpy(str)


def _target(table: Any, name: str, kind: str) -> np.ndarray:
    """The target as `from_groups` wants it: floats, integers or strings."""
    column = table[name]
    if kind == "auto":
        kind = "regression" if column.dtype.kind == "f" else "classification"
    if kind == "regression":
        return _numbers(table, name)
    if column.dtype.kind in "iu":
        return column.to_numpy()
    return _names(table, name)


def _lists_in(path: str | Path) -> list[list[str]]:
    """The three lists of a JSON file."""
    try:
        told = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        lists = [told[part] for part in PARTS]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "`split` must be a JSON file of the groups of each part, "
            '{"train": [...], "valid": [...], "test": [...]}. Received: '
            f"{path}; {type(error).__name__}: {error}."
        ) from error
    return [[str(name) for name in names] for names in lists]


def _standardized(x: np.ndarray, groups: np.ndarray, split: Any, seed: int) -> np.ndarray:
    """Features of mean 0 and variance 1 over the training groups; constant ones become 0."""
    names = sorted(set(groups.tolist()))
    train = {names[row] for row in split_groups(names, split, seed)[0]}
    rows = np.array([name in train for name in groups.tolist()])
    scale = x[rows].std(0)
    return (x - x[rows].mean(0)) / np.where(scale > 0, scale, 1.0)
