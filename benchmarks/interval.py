"""The mean of a benchmark's values, and its interval, as they stand in results."""

from __future__ import annotations

from typing import Any

from meta_tf.evaluation import mean_and_interval


def interval(values: Any, digits: int = 4) -> dict[str, float]:
    """The mean of independent values [n], and the half-width of its 95 % interval, rounded."""
    mean, half = mean_and_interval(values)
    return {"mean": round(float(mean), digits), "ci95": round(float(half), digits)}
