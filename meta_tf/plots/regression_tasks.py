"""A figure of three regression tasks and a learner's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from meta_tf.batch.sizes import task_of
from meta_tf.checks import check_integer
from meta_tf.evaluation.evaluate import check_learner_and_split
from meta_tf.evaluation.result import shown_size
from meta_tf.gaussian import interval
from meta_tf.learner import MetaLearner
from meta_tf.network.losses import is_gaussian
from meta_tf.plots.style import BLUE, GREEN, GREY, ORANGE, RED, headline, tidy

_STEP_STYLES = [(GREY, ":"), (ORANGE, "--"), (BLUE, "-"), (GREEN, "-."), (RED, "-")]


def regression(
    learner: MetaLearner, split: Any, steps: Sequence[int] = (0, 1, 10), seed: int = 0
) -> Figure:
    """Draws the fit of three tasks before and after some numbers of inner steps.

    For a learner of means and scales, a band shows the 90 % interval after the last of them. An
    algorithm without inner steps has one curve.

    Args:
      learner: a learner of functions of one variable.
      split: the split to draw the tasks from. The query set is drawn as the true curve, so
        use a split with many points, such as
        `meta_tf.tasks.Sinusoid(queries=200, grid=True).test`. Padding is not drawn.
      steps: the numbers of inner steps.
      seed: selects the tasks.

    Raises:
      ValueError: if inputs or targets are more than one number, or `steps` is invalid.

    Example:
      >>> curves = meta_tf.tasks.Sinusoid(shots=5, queries=100, grid=True)
      >>> figure = regression(learner, curves.test)
      >>> len(figure.axes)
      3

    Reference: figure 2 of Finn, Abbeel & Levine 2017.
    """
    check_learner_and_split(learner, split)
    if not isinstance(steps, Sequence) or not steps:
        raise ValueError(
            f"`steps` must be numbers of steps such as (0, 1, 10). Received: {steps!r}."
        )
    for k in steps:
        check_integer("steps", k, at_least=0)
    adapts = "inner_steps" in learner.algorithm.get_config()
    steps = steps if adapts else (0,)
    x, query_y = next(iter(split.batches(3, seed=seed)))
    _check_curves(x["query_x"], query_y)
    fits = tf.transpose(learner.trajectory(x, max(steps)), [0, 2, 1, 3])  # [T, Q, steps + 1, n]
    batch = {**x, "query_y": query_y, "predictions": fits}
    tasks = [{name: t.numpy() for name, t in task_of(batch, i).items()} for i in range(3)]
    supports = [len(task["support_x"]) for task in tasks]
    least, most = min(supports), max(supports)
    gaussian = is_gaussian(learner.network.loss)
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for t, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        _draw_fit(axes, tasks[t], steps, adapts, gaussian)
        axes.set_title(f"task {t + 1}", fontsize=11)
    figure.axes[0].set_ylabel("y")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    headline(
        figure,
        f"{type(learner.algorithm).__name__}: three new tasks, "
        f"{shown_size((least, most) if least < most else most)} support points each",
    )
    return figure


def _draw_fit(
    axes: Axes, task: dict[str, np.ndarray], steps: Sequence[int], adapts: bool, gaussian: bool
) -> None:
    """Draws one task: true curve, support points and the curves after each number of steps.

    If they are `gaussian` means and scales, also the 90 % interval after the last step.
    """
    order = np.argsort(task["query_x"][:, 0])
    points = task["query_x"][order, 0]
    axes.plot(points, task["query_y"][order, 0], color="black", lw=1.2, label="true curve")
    for i, k in enumerate(steps):
        colour, line = _STEP_STYLES[i % len(_STEP_STYLES)] if len(steps) > 1 else (BLUE, "-")
        label = f"after {k} step{'s' if k > 1 else ''}"
        if k == 0:
            label = "before adaptation" if adapts else "prediction"
        axes.plot(points, task["predictions"][order, k, 0], line, color=colour, lw=1.8, label=label)
    axes.plot(
        task["support_x"][:, 0],
        task["support_y"][:, 0],
        "o",
        color=RED,
        markeredgecolor="white",
        markersize=7,
        label="support points",
    )
    if gaussian:
        lower, upper = interval(tf.constant(task["predictions"][order, max(steps)]), 0.9)
        band = lower[:, 0], upper[:, 0]
        axes.fill_between(points, *band, color=BLUE, alpha=0.2, lw=0, label="90 % interval")
    tidy(axes, "x", None, None)


def _check_curves(query_x: Any, query_y: Any) -> None:
    for name, tensor in (("query_x", query_x), ("query_y", query_y)):
        if tf.is_tensor(tensor) and tensor.shape[2:] == [1]:
            continue
        raise ValueError(
            f"`split` must have `{name}` [T, Q, 1], one number per example, to be drawn as a "
            f"curve. Received: shape {getattr(tensor, 'shape', type(tensor).__name__)}."
        )
