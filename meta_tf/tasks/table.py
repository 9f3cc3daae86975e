"""Tasks from a table: a CSV or Parquet file, or a pandas DataFrame."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meta_tf.checks import check_choice, shown
from meta_tf.tasks.groups import from_groups
from meta_tf.tasks.read_table import read_table
from meta_tf.tasks.source import PARTS, Kind, Source

_FRACTIONS = (0.64, 0.16, 0.20)
_MOST_CLASSES = 20  # whole numbers with more distinct values are not classes
_EXACT = 2**53  # smaller whole numbers are exact as floats
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
) -> Source:
    """Makes a task from every group of a table's rows; see `meta_tf.tasks.from_groups`.

    Rows are not scaled: call `MetaLearner.standardize(tasks.train)` so that the learner scales
    them. Needs pandas, and for Parquet pyarrow: `pip install '.[table]'` in a checkout.

    Args:
      data: the path of a .csv or .parquet file, with column names; a `pandas.DataFrame` (or
        another library's table that has `to_pandas`); or a dictionary of columns.
      target: the column to predict.
      group: the column with the group of each row.
      features: the columns to predict from: numbers, or True and False. If None, all except
        `target`, `group` and `time`, and except columns that only number the rows: those
        without a name, as pandas and R write them, and those that count 0, 1, 2 … or 1, 2, 3 …
        down the table. A line lists them.
      time: the column of numbers or dates that orders the rows of a group, for
        `support="first"`. To predict from it too, add it to `features`.
      kind: `"auto"` treats text, True and False, and whole numbers with at most 20 distinct
        values (as integers or floats) as classes, and other numbers as regression targets. A
        line says which.
      shots: as in `from_groups`.
      queries: as in `from_groups`.
      support: which rows of a group are its support set: `"random"` ones, or the `"first"` ones,
        in the order of `time` or of the table.
      split: the groups of each part: the path of a JSON file
        `{"train": [...], "valid": [...], "test": [...]}`, three such lists, or three fractions.
      seed: as in `from_groups`.

    Returns:
      A `Source`, with examples of shape (number of features,).

    Raises:
      ValueError: if pandas is missing, the file cannot be read, a column does not exist, has two
        roles, has gaps or does not contain numbers, or if `from_groups` raises it.

    Example:
      >>> tasks = meta_tf.tasks.from_table("patients.csv", target="effect", group="patient")
      ... # doctest: +SKIP
    """
    check_choice("kind", kind, ("auto", "regression", "classification"))
    table = read_table(data)
    roles = {"target": target, "group": group} | ({} if time is None else {"time": time})
    for role, name in roles.items():
        _check_columns(table, role, [name])
    if len(set(roles.values())) < len(roles):
        raise ValueError(
            f"`{'`, `'.join(roles)}` must be different columns. Received: "
            f"{', '.join(map(repr, roles.values()))}."
        )
    names, left_out = _features(table, features, roles)
    chosen = _kind(table, target) if kind == "auto" else kind
    if kind == "auto" or left_out:
        print(_told(target, chosen, names, left_out), flush=True)
    y = _measured(table, target) if chosen == "regression" else _labels(table, target)
    return from_groups(
        np.stack([_measured(table, name) for name in names], 1).astype(np.float32),
        y,
        _texts(table, group),
        shots=shots,
        queries=queries,
        support=support,
        time=None if time is None else _times(table, time),
        split=_lists_in(split) if isinstance(split, str | Path) else split,
        seed=seed,
    )


def _told(target: str, kind: Kind, features: Sequence[str], left_out: Sequence[str]) -> str:
    """The choices, in one line."""
    shown = ", ".join(map(str, features[:8])) + (", …" if len(features) > 8 else "")
    word = "feature" if len(features) == 1 else "features"
    line = f"Each task is a {kind} of {target!r} from {len(features)} {word}: {shown}."
    if left_out:
        line += f" Left out, as row numbers: {', '.join(map(repr, left_out))}."
    return f"{line} To change this, set `kind` (--kind) and `features` (--features)."


# --- which columns ---


def _features(
    table: Any, features: Sequence[str] | None, roles: dict[str, str]
) -> tuple[list[str], list[str]]:
    """The names of the features, and of the columns left out."""
    if features is None:
        others = [name for name in table.columns if name not in roles.values()]
        left_out = [name for name in others if _numbers_rows(table, name)]
        names = [name for name in others if name not in left_out]
    else:
        names, left_out = [features] if isinstance(features, str) else _listed(features), []
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


def _listed(features: Any) -> list[Any]:
    try:
        return list(features)
    except TypeError:
        raise ValueError(f"`features` must be column names. Received: {shown(features)}.") from None


def _numbers_rows(table: Any, name: Any) -> bool:
    """Whether a column has no name, or counts the rows."""
    if str(name).startswith("Unnamed: "):  # pandas's name for such a column
        return True
    column = table[name]
    if column.dtype.kind not in "iu" or column.isna().any() or len(column) < 2:
        return False
    counted = column.to_numpy(np.int64) - np.arange(len(column))
    return bool(counted[0] in (0, 1) and (counted == counted[0]).all())


def _check_columns(table: Any, argument: str, names: Sequence[str]) -> None:
    for name in names:
        if not isinstance(name, Hashable) or name not in table.columns:
            raise ValueError(
                f"`{argument}` must name a column of the table: "
                f"{', '.join(map(str, table.columns))}. Received: {shown(name)}."
            )
        gaps = int(table[name].isna().sum())
        if gaps:
            raise ValueError(
                f"`{argument}` must be columns without gaps. Received: {name!r}, in which {gaps} "
                f"of {len(table)} rows are empty (or NA, None and similar). Fill or drop these "
                f"rows, for example with table.dropna(), or leave out the column."
            )


# --- what is in a column ---


def _kind(table: Any, name: str) -> Kind:
    """Whether a target contains classes or numbers to predict."""
    column = _plain(table, name)
    if column.dtype.kind not in "iuf":
        return "classification"
    few = column.nunique() <= _MOST_CLASSES
    return "classification" if few and _is_whole(column) else "regression"


def _plain(table: Any, name: str) -> Any:
    """A column of objects in their common type, if that is numbers or booleans."""
    from pandas.api.types import infer_dtype

    column = table[name]
    if column.dtype.kind == "O":
        types = {"decimal": float, "floating": float, "integer": np.int64, "boolean": bool}
        found = types.get(infer_dtype(column, skipna=False))
        return column if found is None else column.astype(found)
    return column


def _is_whole(column: Any) -> bool:
    return bool(((column == column.round()) & (column.abs() < _EXACT)).all())


def _numbers(table: Any, name: str) -> np.ndarray:
    column = _plain(table, name)
    if column.dtype.kind not in "iufb":
        raise ValueError(
            f"The column {name!r} must contain numbers. Received: {column.dtype}, such as "
            f"{str(column.iloc[0])!r}. {_cure(column, name)}, or leave it out by `features`."
        )
    numbers = column.to_numpy(np.float64)
    wrong = int((~np.isfinite(numbers)).sum())
    if wrong:
        raise ValueError(
            f"The column {name!r} must contain finite numbers. Received: {wrong} of {len(numbers)} "
            "that are infinite. Replace them, or drop these rows."
        )
    return numbers


def _cure(column: Any, name: str) -> str:
    if column.dtype.kind in "mM":
        since = f"(table[{name!r}] - table[{name!r}].min())"
        return f"Convert it to numbers, such as {since} / pandas.Timedelta('1D')"
    return f"Make a column of each value, pandas.get_dummies(table, columns=[{name!r}])"


def _measured(table: Any, name: str) -> np.ndarray:
    """The numbers of a column, after checking that they still differ in float32."""
    numbers = _numbers(table, name)
    with np.errstate(over="ignore", invalid="ignore"):
        finest = np.spacing(np.float32(np.abs(numbers).max()))
        deviation = numbers.std()
    if numbers.min() < numbers.max() and not finest <= 0.01 * deviation:
        raise ValueError(
            f"The column {name!r} must contain numbers that differ in float32. Received: "
            f"numbers up to {np.abs(numbers).max():.10g} with a standard deviation of "
            f"{deviation:.3g}. Use another unit, or subtract the smallest of them first."
        )
    return numbers


def _texts(table: Any, name: str) -> np.ndarray:
    """A column as strings; whole numbers have no decimal point even if they were floats."""
    column = _plain(table, name)
    if column.dtype.kind == "f" and _is_whole(column):
        column = column.astype(np.int64)
    return column.astype(str).to_numpy(str)


def _labels(table: Any, name: str) -> np.ndarray:
    """Class names: integers, so that they keep their order, or strings."""
    column = _plain(table, name)
    if column.dtype.kind in "mM":
        _numbers(table, name)  # raises the error for dates
    whole = column.dtype.kind in "iuf" and _is_whole(column)
    return column.to_numpy(np.int64) if whole else _texts(table, name)


def _times(table: Any, name: str) -> np.ndarray:
    """The order of the rows: numbers unchanged, dates as nanoseconds."""
    import pandas

    column = _plain(table, name)
    if column.dtype.kind in "iuf":
        return _numbers(table, name) if column.dtype.kind == "f" else column.to_numpy(np.int64)
    try:
        # In other formats, it is unknown whether the day or the month comes first.
        dates = pandas.to_datetime(column, format="ISO8601", utc=True)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`time` must be a column of numbers, or of dates such as 2026-11-29 or "
            f"2026-11-29 20:15. Received: {name!r}, with {str(column.iloc[0])!r}; "
            f"{str(error).splitlines()[0]}"
        ) from error
    return dates.to_numpy("datetime64[ns]")


def _lists_in(path: str | Path) -> list[list[str]]:
    """The three lists from a JSON file."""
    try:
        told = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        lists = [told[part] for part in PARTS]
        if not all(isinstance(names, list) for names in lists):
            raise TypeError("one of the three is not a list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "`split` must be a JSON file of the groups of each part, "
            '{"train": [...], "valid": [...], "test": [...]}. Received: '
            f"{path}; {type(error).__name__}: {error}."
        ) from error
    return [[str(name) for name in names] for names in lists]
