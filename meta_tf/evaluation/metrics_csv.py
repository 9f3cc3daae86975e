"""Reading a run's `metrics.csv`, which has one row per epoch."""

from __future__ import annotations

import csv
from pathlib import Path

METRICS = "metrics.csv"


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """Reads the rows of a run's `metrics.csv`.

    Args:
      path: the file, or the run's folder. Its first line names the columns; all values are
        numbers.

    Returns:
      One dictionary per row, by column: `iteration` (outer steps made) as an integer, the
      others as floats, NaN where the file has nothing. An empty list if there is no file, as
      for a run whose first epoch has not ended.

    Raises:
      ValueError: if a value is not a number.

    Example:
      >>> read_metrics("runs/not_there/metrics.csv")
      []
    """
    path = Path(path)
    if path.is_dir():
        path = path / METRICS
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {k: int(v) if k == "iteration" else float(v or "nan") for k, v in row.items()}
            for row in csv.DictReader(file)
        ]
