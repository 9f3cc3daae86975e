"""A figure of several evaluations, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from meta_tf.checks import check_kind, check_text
from meta_tf.evaluation import Evaluation
from meta_tf.plots.line_labels import LineEnd, label_ends
from meta_tf.plots.style import GREY, INTERVAL, band, colours, headline, tidy, unit_of

_MARKERS = "os^Dv"
_Styles = dict[str, tuple[Any, str]]  # colour and marker, by name


def compare(
    evaluations: Mapping[str, Evaluation],
    published: Mapping[str, float] | None = None,
    step: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draws evaluations side by side: their means and intervals, and curves over inner steps.

    Each evaluation has its own colour. Evaluations with several inner steps also have a curve,
    on a logarithmic axis and labelled at its end. If the metric is accuracy, the curves show
    the error (1 - accuracy). A curve that rises far above all initial values is clipped.

    Args:
      evaluations: results of `meta_tf.evaluate` with the same metric, by name; drawn from top
        to bottom. `Evaluation.load` reads those of earlier runs.
      published: numbers to compare with, by the same names, in the metric's own unit
        (0.987 for an accuracy of 98.7 %).
      step: the number of inner steps of the means on the left; the last of each if None.
      title: the figure's title; if None, it names the tasks.

    Raises:
      ValueError: if there is no evaluation, the metrics differ, a name in `published` is
        unknown, or an evaluation lacks the step.

    Example:
      >>> split = meta_tf.tasks.Sinusoid().test
      >>> now = meta_tf.evaluate(learner, split, 10, steps=3)
      >>> figure = compare({"before": now, "after": now}, published={"after": 0.4})
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['before', 'after']
    """
    published = published or {}
    check_kind("evaluations", evaluations, Mapping, "evaluations by their names, a dict")
    check_kind("published", published, Mapping, "numbers by the names of evaluations, a dict")
    for evaluation in evaluations.values():
        check_kind("evaluations", evaluation, Evaluation, "what `meta_tf.evaluate` returns")
    if title is not None:
        check_text("title", title, "New tasks")
    _check_comparable(evaluations, published, step)
    curves = {n: e for n, e in evaluations.items() if len(e.steps) > 1}
    height = 0.34 * max(len(evaluations), 6)  # of the axes
    figure = Figure(figsize=(12 if curves else 7, 1.8 + height), layout="constrained")
    panels = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    styles = {
        name: (colour, _MARKERS[i % len(_MARKERS)])
        for i, (name, colour) in enumerate(zip(evaluations, colours(len(evaluations)), strict=True))
    }
    _draw_means(panels[0], evaluations, published, step, styles)
    if curves:
        label_ends(panels[1], _draw_curves(panels[1], curves, styles), height)
    first = next(iter(evaluations.values()))
    headline(figure, title or f"{first.tasks} new tasks, {first.kind}")
    return figure


def _draw_means(
    axes: Axes,
    evaluations: Mapping[str, Evaluation],
    published: Mapping[str, float],
    step: int | None,
    styles: _Styles,
) -> None:
    """Draws one row per evaluation: mean and interval, and a mark for the published number."""
    first = next(iter(evaluations.values()))
    scale, unit = unit_of(first.metric)
    for row, (name, evaluation) in enumerate(evaluations.items()):
        i = -1 if step is None else evaluation.steps.index(step)
        colour, marker = styles[name]
        axes.errorbar(
            scale * evaluation.mean[i],
            row,
            xerr=scale * evaluation.ci95[i],
            fmt=marker,
            color=colour,
            capsize=3,
            markersize=5,
        )
    rows = [row for row, name in enumerate(evaluations) if name in published]
    values = [scale * published[name] for name in evaluations if name in published]
    if rows:
        axes.plot(values, rows, "|", color=GREY, ms=16, mew=2.5, zorder=0, label="published")
        axes.figure.legend(loc="outside lower left", frameon=False)
    axes.set_yticks(range(len(evaluations)), list(evaluations))
    axes.set_ylim(len(evaluations) - 0.5, -0.5)  # the first on top
    when = "each one's last inner step" if step is None else f"{step} inner step{'s'[: step != 1]}"
    tidy(axes, unit, None, f"after {when}, with the {INTERVAL}", inches=5.2)


def _draw_curves(
    axes: Axes, evaluations: Mapping[str, Evaluation], styles: _Styles
) -> list[LineEnd]:
    """Draws one line per evaluation, the error over inner steps; returns the lines' ends."""
    most = max(e.steps[-1] for e in evaluations.values())
    first = next(iter(evaluations.values()))
    scale, unit = unit_of(first.metric)
    starts, ends = [], []
    for name, evaluation in evaluations.items():
        colour, marker = styles[name]
        mean, ci95 = (scale * np.asarray(v) for v in (evaluation.mean, evaluation.ci95))
        if first.metric == "accuracy":
            mean, unit = 100 - mean, "error in %"
        starts.append(mean[0])
        every = max(1, len(mean) // 10)
        axes.plot(
            evaluation.steps,
            mean,
            marker=marker,
            markevery=every,
            color=colour,
            markersize=4,
            lw=1.4,
            label=name,
        )
        band(axes, np.asarray(evaluation.steps), mean, ci95, colour, alpha=0.12)
        ends.append(LineEnd(name, evaluation.steps[-1], mean[-1], colour))
    axes.set_yscale("log")
    axes.set_ylim(top=min(axes.get_ylim()[1], 2 * max(starts)))  # clips curves that diverge
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    tidy(axes, "inner steps", f"{unit} (logarithmic)", "after each number of inner steps")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if most > 20:  # so that the first steps stay visible
        axes.set_xscale("symlog", linthresh=5)
        ticks = [k for k in (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500) if k <= most]
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.set_xlim(-0.3, 1.1 * most)
    return ends


def _check_comparable(
    evaluations: Mapping[str, Evaluation], published: Mapping[str, float], step: int | None
) -> None:
    if not evaluations:
        raise ValueError("`evaluations` must hold at least one. Received: none.")
    metrics = sorted({e.metric for e in evaluations.values()})
    if len(metrics) > 1:
        raise ValueError(
            f"`evaluations` must all have the same metric. Received: {', '.join(metrics)}. Draw "
            "one figure for each."
        )
    if unknown := set(published) - set(evaluations):
        raise ValueError(
            "The names in `published` must be names in `evaluations`. Received: "
            f"{', '.join(map(repr, sorted(unknown)))}; `evaluations` has {', '.join(evaluations)}."
        )
    for name, evaluation in evaluations.items():
        if step is not None and step not in evaluation.steps:
            raise ValueError(
                "`step` must be a number of inner steps that all evaluations have. Received: "
                f"{step!r}; {name!r} has {evaluation.steps[0]} to {evaluation.steps[-1]}."
            )
