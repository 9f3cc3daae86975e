"""Reads a table from a file, a DataFrame, or a dictionary of columns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from meta_tf.checks import few
from meta_tf.memory import memory

_BYTES = 8  # per number in memory


def read_table(data: Any) -> Any:
    """The table as a `pandas.DataFrame`, with at least one row, whose columns have distinct names.

    Names that are not texts, such as numbers, become texts. `data` is as in `from_table`. Raises
    ValueError if pandas is missing, a file is missing, damaged or larger than this machine's
    memory, or the table is not as above.
    """
    is_file = isinstance(data, str | os.PathLike)
    if is_file:
        _check_file(Path(data).expanduser())
    try:
        import pandas
    except ImportError as error:
        raise ValueError(
            "`data` needs pandas. Install it, in a checkout of meta_tf: pip install '.[table]'"
        ) from error
    where = ""
    if is_file:
        where = f"{data}, "
        table = _of_file(Path(data).expanduser())
    elif isinstance(data, dict):
        try:
            table = pandas.DataFrame(data)
        except ValueError as error:
            raise ValueError(
                f"`data` must be columns of the same length. Received: a dictionary; {error}."
            ) from error
    else:
        table = data.to_pandas() if hasattr(data, "to_pandas") else data
    if not isinstance(table, pandas.DataFrame):
        raise ValueError(
            "`data` must be the path of a .csv or .parquet file, a pandas.DataFrame or a "
            f"dictionary of columns. Received: {type(data).__name__}."
        )
    table = table.set_axis(list(map(str, table.columns)), axis=1)
    _check_distinct(where, table.columns)
    if table.empty:
        raise ValueError(
            f"`data` must have rows below the column names. Received: {where}"
            f"{len(table)} rows of the columns {few(table.columns)}."
        )
    return table


def with_levels(table: Any, names: Collection[Any]) -> Any:
    """A table with the parts of its index that have one of these names as columns."""
    present = [name for name in table.index.names if name is not None]
    levels = [n for n in present if str(n) in names and str(n) not in table.columns]
    return table.reset_index(levels) if levels else table


def as_written(path: str | Path) -> Any:
    """A table that `read_table` reads, to write it again: cells of a .csv file remain texts."""
    path = Path(path).expanduser()
    if path.suffix.lower() != ".csv":
        return read_table(path)
    import pandas

    return pandas.read_csv(path, dtype=str, keep_default_na=False)


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ValueError(f"`data` must be a .csv or .parquet file. Received: {path}.")
    if not path.is_file():
        raise ValueError(
            f"`data` must be an existing file. Received: {path}; there is no such file in "
            f"{Path.cwd()}."
        )


def _of_file(path: Path) -> Any:
    try:
        return _of_csv(path) if path.suffix.lower() == ".csv" else _of_parquet(path)
    except _DataError:
        raise
    except MemoryError as error:
        raise ValueError(
            f"`data` must fit in memory. Received: {path}, which does not. Keep fewer rows or "
            "columns in it."
        ) from error
    except Exception as error:  # a damaged file raises many kinds of errors, such as KeyError
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"`data` cannot be read. Received: {path}. pandas reports: {type(error).__name__}: "
            f"{reason.rstrip('.')}. Write the file again{_how(error)}."
        ) from error


def _how(error: Exception) -> str:
    return ", as UTF-8" if isinstance(error, UnicodeDecodeError) else ""


class _DataError(ValueError):
    """The complete message for a file that pandas would read without an error."""


def _of_csv(path: Path) -> Any:
    import pandas

    _check_memory(path, path.stat().st_size)
    # pandas renames the second of two columns with the same name to name.1.
    header = pandas.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = header.iloc[0].tolist()
    if len(names) == 1 and (other := next((c for c in ";\t|" if c in names[0]), "")):
        raise _DataError(
            f"`data` must have commas between its columns. Received: {path}, with {other!r} "
            f"between them: {names[0]!r}. Write it with commas, and numbers such as 1.5."
        )
    _check_distinct(f"{path}, ", [name for name in names if name])
    table = pandas.read_csv(path)
    if not isinstance(table.index, pandas.RangeIndex):
        raise _DataError(
            "`data` must have a column name for every value of a row. Received: "
            f"{path}, which has fewer names."
        )
    return table


def _of_parquet(path: Path) -> Any:
    import pandas
    import pyarrow.parquet

    # A small file can contain a very large number of equal rows.
    about = pyarrow.parquet.read_metadata(path)
    _check_memory(path, about.num_rows * about.num_columns * _BYTES)
    return pandas.read_parquet(path, engine="pyarrow", page_checksum_verification=True)


def _check_memory(path: Path, needed: int) -> None:
    """Raises ValueError unless this machine has more memory than this number of bytes."""
    if needed > memory():
        raise _DataError(
            f"`data` must fit in memory. Received: {path}, which takes {needed / 1e9:.1f} GB or "
            f"more of {memory() / 1e9:.1f} GB. Keep fewer rows or columns in it."
        )


def _check_distinct(where: str, names: Iterable[Any]) -> None:
    if twice := sorted({str(name) for name, times in Counter(names).items() if times > 1}):
        raise _DataError(
            f"`data` must have distinct column names. Received: {where}{few(twice)} more than "
            "once. Rename one of them."
        )
