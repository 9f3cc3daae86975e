"""Figures: what a learner does on tasks, and how it came to it. Needs matplotlib.

Each function returns a `matplotlib.figure.Figure` that belongs to no window and to
no global state: `figure.savefig("fit.png")`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.checks import check_integer
from meta_tf.evaluation import Evaluation
from meta_tf.learner import MetaLearner
from meta_tf.parallel import map_tasks
from meta_tf.types import Examples

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator
except ImportError as error:
    raise ImportError(
        "meta_tf.plots needs matplotlib. Install it with: pip install meta_tf[plots]"
    ) from error

# Okabe and Ito's colours, which colour-blind people can tell apart.
_BLUE, _RED, _GREEN, _ORANGE, _GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#767676"
_COLOURS = [_BLUE, _RED, _GREEN, _ORANGE, "#CC79A7", "#56B4E9", "black"]
_MARKERS = "os^Dv"  # with the colours, 35 pairs before any comes again
_STEP_STYLES = [(_GREY, ":"), (_ORANGE, "--"), (_BLUE, "-"), (_GREEN, "-."), (_RED, "-")]
_INTERVAL = "95 % confidence interval"


def regression(
    learner: MetaLearner, part: Any, steps: Sequence[int] = (0, 1, 10), seed: int = 0
) -> Figure:
    """Draws the fit of three tasks before and after some numbers of inner steps.

    Args:
      learner: a learner of functions of one variable.
      part: where the tasks come from. The query set is drawn as the true curve:
        give a part with many points, such as
        `meta_tf.tasks.Sinusoid(queries=200, grid=True).test`.
      steps: the numbers of inner steps.
      seed: chooses the tasks.

    Raises:
      ValueError: if inputs or targets are more than one number, or `steps` are wrong.

    Example:
      >>> curves = meta_tf.tasks.Sinusoid(shots=5, queries=100, grid=True)
      >>> figure = regression(learner, curves.test)
      >>> len(figure.axes)
      3

    Reference: figure 2 of Finn, Abbeel & Levine 2017.
    """
    for k in steps:
        check_integer("steps", k, at_least=0)
    x, query_y = next(iter(part.batches(3, seed=seed)))
    _check_curves(x["query_x"], query_y)
    fits = _predictions(learner, x, max(steps))
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for t, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        _draw_fit(axes, {n: v[t].numpy() for n, v in x.items()}, query_y[t], fits[t], steps)
        axes.set_title(f"task {t + 1}", fontsize=11)
    figure.axes[0].set_ylabel("y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(
        f"{_name(learner)}: three new tasks, {x['support_x'].shape[1]} support points each"
    )
    return figure


def images(learner: MetaLearner, part: Any, seed: int = 0, most: int = 6) -> Figure:
    """Draws one task of image classification and what the learner makes of it.

    A row is a class: its support images, then query images of it, each with the
    predicted class, ✓ and green if right, ✗ and red if wrong.

    Args:
      learner: a learner of images [height, width, channels] or [height, width].
      part: where the task comes from.
      seed: chooses the task.
      most: how many classes, and how many support and query images of each, are
        drawn at most. All of them are learned and counted.

    Raises:
      ValueError: if the examples are not images, or the targets not class numbers.

    Example:
      >>> pixels = np.random.default_rng(0).uniform(size=[120, 8, 8, 1])
      >>> tasks = meta_tf.tasks.from_arrays(pixels, np.arange(120) % 20, ways=3, queries=4)
      >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
      >>> learner = meta_tf.MetaLearner(meta_tf.models.mlp((8, 8, 1), 3), loss=loss)
      >>> figure = images(learner, tasks.test)
      >>> len(figure.axes)  # 3 classes, 1 support and 4 query images of each
      15
    """
    check_integer("most", most, at_least=1)
    x, query_y = next(iter(part.batches(1, seed=seed)))
    _check_images(x["query_x"], query_y)
    support_x, support_y, query_x = (x[n][0] for n in ("support_x", "support_y", "query_x"))
    labels = query_y[0].numpy()
    predicted = np.argmax(learner.adapt(support_x, support_y)(query_x), -1)
    classes = np.unique(support_y)
    rows = []
    for label in classes[:most]:
        supports = np.flatnonzero(support_y.numpy() == label)[:most]
        rows.append((label, supports, np.flatnonzero(labels == label)[:most]))
    shots, queries = max(len(s) for _, s, _ in rows), max(len(q) for _, _, q in rows)

    figure = Figure(
        figsize=(1.15 * (shots + queries) + 0.8, 1.4 * len(rows) + 0.8), layout="constrained"
    )
    widths = [1] * shots + [0.2] + [1] * queries  # with a gap between the two sets
    grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
    for r, (label, supports, chosen) in enumerate(rows):
        for c, i in enumerate(supports):
            axes = figure.add_subplot(grid[r, c])
            _show(axes, support_x[i].numpy())
            axes.set_title("support", color=_GREY, fontsize=9, pad=3)
            if c == 0:
                axes.set_ylabel(f"class {label}")
        for c, i in enumerate(chosen):
            mark, colour = ("✓", _GREEN) if predicted[i] == label else ("✗", _RED)
            axes = figure.add_subplot(grid[r, shots + 1 + c])
            _show(axes, query_x[i].numpy(), colour)
            axes.set_title(f"{mark} {predicted[i]}", color=colour, fontsize=11, pad=3)
    right = int(np.sum(predicted == labels))
    figure.suptitle(
        f"{_name(learner)}, {len(classes)}-way: {right} of {len(labels)} query images right "
        f"({100 * right / len(labels):.1f} %)\nabove each, the predicted class",
        fontsize=11,
    )
    return figure


def learning_curve(metrics: str | Path, metric: str | None = None) -> Figure:
    """Draws the training and validation curve of a run, with the interval over tasks.

    Args:
      metrics: the run's `metrics.csv`: a row an epoch, with a column `iteration` (outer
        steps made), and `<metric>`, `val_<metric>`, `val_<metric>_ci95` as far as
        they are known.
      metric: which; accuracy where there is one, else the loss.

    Raises:
      ValueError: if the file holds no rows, or not the metric.

    Example:
      >>> figure = learning_curve("runs/sinusoid/metrics.csv")         # doctest: +SKIP
    """
    table = _read_csv(Path(metrics))
    if metric is None:
        metric = "accuracy" if {"accuracy", "val_accuracy"} & set(table) else "loss"
    if not {metric, f"val_{metric}"} & set(table):
        raise ValueError(
            f"`metric` must be a column of {metrics}. Received: {metric!r}; there are "
            f"{', '.join(table)}."
        )
    # The interval of a regression's loss is that of the mean squared error.
    interval = table.get(f"val_{metric}_ci95")
    if metric == "loss" and interval is None:
        interval = table.get("val_mse_ci95")
    scale, unit = _unit(metric)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for column, label, colour in (
        (metric, "training tasks", _GREY),
        (f"val_{metric}", "validation tasks", _BLUE),
    ):
        if column in table:
            values = scale * table[column]
            axes.plot(table["iteration"], values, ".-", color=colour, label=label)
            if column.startswith("val_") and interval is not None:
                _band(axes, table["iteration"], values, scale * interval, colour)
    _tidy(axes, "outer steps", f"{unit} on query sets, after adaptation", "Learning curve")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def inner_steps(evaluation: Evaluation) -> Figure:
    """Draws what `evaluate` measured: the metric after 0 … K inner steps, with its interval.

    Args:
      evaluation: the result of `meta_tf.evaluate`.

    Example:
      >>> part = meta_tf.tasks.Sinusoid().test
      >>> figure = inner_steps(meta_tf.evaluate(learner, part, 10, steps=3))
      >>> figure.axes[0].get_xlabel()
      'inner steps'
    """
    scale, unit = _unit(evaluation.metric)
    steps, mean, ci95 = (
        np.asarray(v) for v in (evaluation.steps, evaluation.mean, evaluation.ci95)
    )
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, scale * mean, "o-", color=_BLUE, markersize=4, label="mean over tasks")
    if len(steps) > 1:
        _band(axes, steps, scale * mean, scale * ci95, _BLUE)
    else:  # a band needs two points
        axes.errorbar(steps, scale * mean, scale * ci95, color=_BLUE, capsize=4, label=_INTERVAL)
    title = f"{evaluation.tasks} new tasks, {_kind(evaluation)}\n{evaluation.algorithm}"
    _tidy(axes, "inner steps", f"{unit} on query sets", title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def compare(
    evaluations: Mapping[str, Evaluation],
    published: Mapping[str, float] | None = None,
    step: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draws evaluations side by side: each one's mean and interval, and its curve of inner steps.

    The curves, of those that have more than one number of steps, are of the error (1 -
    accuracy) where the metric is accuracy, with a logarithmic axis; one that rises far above
    all starts leaves the picture.

    Args:
      evaluations: results of `meta_tf.evaluate`, of one metric, by name; drawn from top to
        bottom. `Evaluation.load` reads those of earlier runs.
      published: numbers to compare with, by the same names, in the metric's own unit
        (0.987 for an accuracy of 98.7 %).
      step: the number of inner steps that the means on the left are of; each one's last if
        None.
      title: the figure's; the tasks if None.

    Raises:
      ValueError: if there is no evaluation, the metrics differ, a name of `published` is
        unknown, or an evaluation has no such step.

    Example:
      >>> part = meta_tf.tasks.Sinusoid().test
      >>> now = meta_tf.evaluate(learner, part, 10, steps=3)
      >>> figure = compare({"before": now, "after": now}, published={"after": 0.4})
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['before', 'after']
    """
    published = published or {}
    _check_comparable(evaluations, published, step)
    curves = {n: e for n, e in evaluations.items() if len(e.steps) > 1}
    figure = Figure(
        figsize=(12 if curves else 7, 1.8 + 0.34 * max(len(evaluations), 6)), layout="constrained"
    )
    panels = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    styles = {
        name: (_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)])
        for i, name in enumerate(evaluations)
    }
    _draw_means(panels[0], evaluations, published, step, styles)
    if curves:
        _draw_curves(panels[1], curves, styles)
    first = next(iter(evaluations.values()))
    figure.suptitle(title or f"{first.tasks} new tasks, {_kind(first)}")
    return figure


def _draw_means(axes, evaluations, published, step, styles):
    """A row an evaluation: its mean and interval, and a mark for what was published."""
    first = next(iter(evaluations.values()))
    scale, unit = _unit(first.metric)
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
        axes.plot(values, rows, "|", color=_GREY, ms=16, mew=2.5, zorder=0, label="published")
        axes.figure.legend(loc="outside lower left", frameon=False)
    axes.set_yticks(range(len(evaluations)), list(evaluations))
    axes.set_ylim(len(evaluations) - 0.5, -0.5)  # the first on top
    when = "each one's last inner step" if step is None else f"{step} inner step{'s'[: step != 1]}"
    _tidy(axes, unit, None, f"after {when}, with the {_INTERVAL}")


def _draw_curves(axes, evaluations, styles):
    """A line an evaluation, of error by inner steps."""
    most = max(e.steps[-1] for e in evaluations.values())
    first = next(iter(evaluations.values()))
    scale, unit = _unit(first.metric)
    starts = []
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
        _band(axes, evaluation.steps, mean, ci95, colour, alpha=0.12)
    axes.set_yscale("log")
    axes.set_ylim(top=min(axes.get_ylim()[1], 2 * max(starts)))  # what diverges leaves the picture
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    _tidy(axes, "inner steps", f"{unit} (logarithmic)", "on the way there")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if most > 20:  # so that the first steps of the shorter ones can be seen
        axes.set_xscale("symlog", linthresh=5)
        ticks = [k for k in (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500) if k <= most]
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.set_xlim(-0.3, 1.1 * most)


def _check_comparable(evaluations, published, step):
    if not evaluations:
        raise ValueError("`evaluations` must hold at least one. Received: none.")
    metrics = sorted({e.metric for e in evaluations.values()})
    if len(metrics) > 1:
        raise ValueError(
            f"`evaluations` must be of one metric. Received: {', '.join(metrics)}. Draw a figure "
            "for each."
        )
    if unknown := set(published) - set(evaluations):
        raise ValueError(
            "`published` must have names of `evaluations`. Received: "
            f"{', '.join(map(repr, sorted(unknown)))}; there are {', '.join(evaluations)}."
        )
    for name, evaluation in evaluations.items():
        if step is not None and step not in evaluation.steps:
            raise ValueError(
                "`step` must be a number of inner steps that all evaluations have. Received: "
                f"{step!r}; {name!r} has {evaluation.steps[0]} to {evaluation.steps[-1]}."
            )


def _predictions(learner, x, steps):
    """Predictions for the query set after 0 … `steps` inner steps, [T, steps + 1, Q, ...]."""
    network, algorithm = learner.network, learner.algorithm

    def run(x):
        weights = learner.weights_now

        def one(task):
            return algorithm.trajectory(
                network,
                weights,
                Examples(task["support_x"], task["support_y"]),
                lambda adapted: algorithm.predict(network, adapted, task["query_x"]),
                steps=steps,
            )

        return map_tasks(one, x, mode=learner.task_parallelism)

    return tf.function(run, autograph=False)(x).numpy()


def _draw_fit(axes, x, query_y, fits, steps):
    """One task: true curve, support points and the curves after each number of steps."""
    order = np.argsort(x["query_x"][:, 0])
    points = x["query_x"][order, 0]
    axes.plot(points, query_y.numpy()[order, 0], color="black", lw=1.2, label="true curve")
    for i, k in enumerate(steps):
        colour, line = _STEP_STYLES[i % len(_STEP_STYLES)]
        label = "before adaptation" if k == 0 else f"after {k} step{'s' if k > 1 else ''}"
        axes.plot(points, fits[k][order, 0], line, color=colour, lw=1.8, label=label)
    axes.plot(
        x["support_x"][:, 0],
        x["support_y"][:, 0],
        "o",
        color=_RED,
        markeredgecolor="white",
        markersize=7,
        label="support points",
    )
    _tidy(axes, "x", None, None)


def _show(axes, picture, colour=_GREY):
    low, high = float(picture.min()), float(picture.max())
    if low < 0 or high > 1:  # standardised pixels, say
        picture = (picture - low) / (high - low)
    axes.imshow(np.squeeze(picture), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)


def _band(axes, x, mean, half, colour, alpha=0.2):
    low, high = mean - half, mean + half
    axes.fill_between(x, low, high, color=colour, alpha=alpha, lw=0, label=_INTERVAL)


def _tidy(axes, x_label, y_label, title):
    axes.set_xlabel(x_label)
    if y_label:
        axes.set_ylabel(y_label)
    if title:
        axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _unit(metric):
    """The factor that a metric is shown with, and its name with the unit."""
    named = {"accuracy": (100, "accuracy in %"), "mse": (1, "mean squared error")}
    return named.get(metric, (1, metric))


def _kind(evaluation):
    shots = f"{evaluation.shots}-shot"
    return shots if evaluation.ways is None else f"{evaluation.ways}-way {shots}"


def _name(learner):
    return type(learner.algorithm).__name__


def _read_csv(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "iteration" not in rows[0]:
        raise ValueError(
            "`metrics` must be a csv file with a column `iteration` and at least one row. "
            f"Received: {str(path)!r}. Train until the first epoch has ended."
        )
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def _check_curves(query_x, query_y):
    for name, tensor in (("query_x", query_x), ("query_y", query_y)):
        if tf.is_tensor(tensor) and tensor.shape[2:] == [1]:
            continue
        raise ValueError(
            f"`part` must have tasks of one number each, `{name}` [T, Q, 1], to be drawn as a "
            f"curve. Received: shape {getattr(tensor, 'shape', type(tensor).__name__)}."
        )


def _check_images(query_x, query_y):
    shape = list(query_x.shape[2:]) if tf.is_tensor(query_x) else []
    if len(shape) not in (2, 3) or shape[2:] not in ([], [1], [3]):
        raise ValueError(
            "`part` must have images, [T, Q, height, width, 1 or 3] or [T, Q, height, width]. "
            f"Received: query_x of shape {getattr(query_x, 'shape', type(query_x).__name__)}."
        )
    if not query_y.dtype.is_integer:
        raise ValueError(
            "`part` must have class numbers as targets. Received: query_y of dtype "
            f"{query_y.dtype.name}."
        )
