"""Figures of one run: its training, and its evaluation over inner steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from meta_tf.checks import check_kind
from meta_tf.evaluation import Evaluation
from meta_tf.evaluation.metrics_csv import read_metrics
from meta_tf.plots.style import BLUE, GREY, band, tidy, unit_of

_FEW = 30  # points that are far enough apart for large markers


def learning_curve(metrics: str | Path, metric: str | None = None) -> Figure:
    """Draws the training and validation curve of a run, with the interval over tasks.

    Args:
      metrics: the run's `metrics.csv`: one row per epoch, with a column `iteration` (completed
        outer steps) and, if available, `<metric>`, `val_<metric>` and `val_<metric>_ci95`.
      metric: the metric to draw; by default accuracy if available, otherwise the loss.

    Raises:
      ValueError: if the file has no rows or lacks the metric.

    Example:
      >>> figure = learning_curve("runs/sinusoid/metrics.csv")         # doctest: +SKIP
    """
    rows = read_metrics(metrics)
    if not rows:
        raise ValueError(
            "`metrics` must be a csv file with a column `iteration` and at least one row. "
            f"Received: {str(metrics)!r}. Train for at least one epoch."
        )
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    if metric is None:
        metric = "accuracy" if {"accuracy", "val_accuracy"} & set(table) else "loss"
    if not {metric, f"val_{metric}"} & set(table):
        raise ValueError(
            f"`metric` must be a column of {metrics}. Received: {metric!r}; the columns are "
            f"{', '.join(table)}."
        )
    interval = table.get(f"val_{metric}_ci95")
    # Without `mse` beside it, a loss is the mean squared error itself. Others have no interval.
    if metric == "loss" and interval is None and "val_mse" not in table:
        interval = table.get("val_mse_ci95")
    scale, unit = unit_of(metric)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for column, label, colour in (
        (metric, "training tasks", GREY),
        (f"val_{metric}", "validation tasks", BLUE),
    ):
        if column in table:
            values = scale * table[column]
            marker = "o-" if len(values) <= _FEW else ".-"
            axes.plot(table["iteration"], values, marker, color=colour, markersize=4, label=label)
            if column.startswith("val_") and interval is not None:
                band(axes, table["iteration"], values, scale * interval, colour)
    tidy(axes, "outer steps", f"{unit} on query sets, after adaptation", "Learning curve")
    # The axis starts at 0, so that even one or two points show the progress.
    axes.set_xlim(0, 1.03 * table["iteration"].max())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    axes.legend(frameon=False)
    return figure


def inner_steps(evaluation: Evaluation) -> Figure:
    """Draws a result of `evaluate`: the metric after 0 … K inner steps, with its interval.

    Args:
      evaluation: the result of `meta_tf.evaluate`.

    Example:
      >>> split = meta_tf.tasks.Sinusoid().test
      >>> figure = inner_steps(meta_tf.evaluate(learner, split, 10, steps=3))
      >>> figure.axes[0].get_xlabel()
      'inner steps'
    """
    check_kind("evaluation", evaluation, Evaluation, "what `meta_tf.evaluate` returns")
    scale, unit = unit_of(evaluation.metric)
    steps = np.asarray(evaluation.steps)
    mean, ci95 = scale * np.asarray(evaluation.mean), scale * np.asarray(evaluation.ci95)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, mean, "o-", color=BLUE, markersize=4, label="mean over tasks")
    band(axes, steps, mean, ci95, BLUE)
    title = f"{evaluation.tasks} new tasks, {evaluation.kind}\n{evaluation.algorithm}"
    tidy(axes, "inner steps", f"{unit} on query sets", title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # also of one step
    axes.legend(frameon=False)
    return figure
