"""Reading a table from wherever it is: a file, a DataFrame, columns in a dictionary."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_BYTES = 8  # of a number, once it is read


def read_table(data: Any) -> Any:
    """The table as a `pandas.DataFrame`, of at least one row and with distinct names of columns.

    Args:
      data: the path of a .csv or .parquet file with column names; a `pandas.DataFrame`, or a table
        of another library that has `to_pandas`; a dictionary of columns.

    Raises:
      ValueError: if pandas is missing, the file is missing, damaged or larger than this machine's
        memory, or there are no rows, or two columns of one name.
    """
    try:
        import pandas
    except ImportError as error:
        raise ValueError(
            "`data` needs pandas to be read. Install it, in a checkout of meta_tf: "
            "pip install '.[table]'"
        ) from error
    where = ""
    if isinstance(data, str | os.PathLike):
        table = _of_file(Path(data).expanduser())
        where = f"{data}, "
    elif isinstance(data, dict):
        try:
            table = pandas.DataFrame(data)
        except ValueError as error:
            raise ValueError(
                f"`data` must be columns of one length. Received: a dictionary; {error}."
            ) from error
    else:
        table = data.to_pandas() if hasattr(data, "to_pandas") else data
    if not isinstance(table, pandas.DataFrame):
        raise ValueError(
            "`data` must be the path of a .csv or .parquet file, a pandas.DataFrame or a "
            f"dictionary of columns. Received: {type(data).__name__}."
        )
    _check_distinct(where, table.columns)
    if table.empty:
        raise ValueError(
            f"`data` must have rows, below the names of its columns. Received: {where}"
            f"{len(table)} rows of the columns {_few(table.columns)}."
        )
    return table


def _of_file(path: Path) -> Any:
    readers = {".csv": _of_csv, ".parquet": _of_parquet}
    if path.suffix.lower() not in readers or not path.is_file():
        raise ValueError(
            f"`data` must be a .csv or .parquet file. Received: {path}, looked for in {Path.cwd()}."
        )
    try:
        return readers[path.suffix.lower()](path)
    except _UnreadableError as error:
        raise ValueError(f"{error}. Received: {path}.") from error
    except MemoryError as error:
        raise ValueError(
            f"`data` must fit into memory. Received: {path}, which does not. Keep fewer rows or "
            "columns in it."
        ) from error
    except Exception as error:  # a damaged file raises anything: KeyError, say
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"`data` cannot be read. Received: {path}; pandas says: {type(error).__name__}: "
            f"{reason}. Write the file again."
        ) from error


class _UnreadableError(Exception):
    """What is wrong with a file that pandas would read all the same."""


def _of_csv(path: Path) -> Any:
    import pandas

    _check_memory(path.stat().st_size)
    # Of two columns of one name pandas would call the second one name.1.
    header = pandas.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    _check_distinct(f"{path}, ", [name for name in header.iloc[0] if name])
    table = pandas.read_csv(path)
    if not isinstance(table.index, pandas.RangeIndex):
        raise _UnreadableError(
            "`data` must have as many names of columns as its rows have values, and has fewer"
        )
    return table


def _of_parquet(path: Path) -> Any:
    import pandas
    import pyarrow.parquet

    # A small file can hold very many rows that are all alike.
    told = pyarrow.parquet.read_metadata(path)
    _check_memory(told.num_rows * told.num_columns * _BYTES)
    return pandas.read_parquet(path, engine="pyarrow", page_checksum_verification=True)


def _check_memory(needed: int) -> None:
    """Raises unless so many bytes are fewer than this machine has."""
    try:
        present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # on Windows
        return
    if needed > present:
        raise _UnreadableError(
            f"`data` must fit into memory, and takes {needed / 1e9:.1f} GB or more of "
            f"{present / 1e9:.1f} GB. Keep fewer rows or columns in it"
        )


def _check_distinct(where: str, names: Iterable[Any]) -> None:
    names = list(names)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"`data` must have columns of distinct names. Received: {where}{_few(twice)} more than "
            "once. Rename one of them."
        )


def _few(names: Iterable[Any]) -> str:
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
