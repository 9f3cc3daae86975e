"""Reading a run's `metrics.csv`, which has one row per epoch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

METRICS = "metrics.csv"


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """Reads the rows of a run's `metrics.csv`, given as the file or as the run's folder.

    Returns a dictionary for each row, by column: `iteration` (the number of outer steps) as an
    integer, the others as floats, NaN for empty fields; none if there is no file, as before the end
    of the first epoch. Raises ValueError, which names the file, if it is damaged.

    Example:
      >>> read_metrics("runs/not_there/metrics.csv")
      []
    """
    path = Path(path)
    if path.is_dir():
        path = path / METRICS
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            return [_numbers(row, f"line {reader.line_num}") for row in reader]
    except (ValueError, csv.Error) as error:
        why = "it is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise ValueError(
            f"{path} must be a table of numbers with a column `iteration`, as a run writes it. "
            f"Received: {why}. Restore the file, or truncate it to its last complete line."
        ) from None


def _numbers(row: dict[str, Any], line: str) -> dict[str, float]:
    """A row as numbers; the ValueError names the problem and the line."""
    if None in row or None in row.values() or "iteration" not in row:
        raise ValueError(f"{line} has other columns than the first line")
    try:
        return {k: int(v) if k == "iteration" else float(v or "nan") for k, v in row.items()}
    except ValueError:
        values = ",".join(map(str, row.values()))
        raise ValueError(f"{line} has a value that is not a number, {values[:60]!r}") from None
