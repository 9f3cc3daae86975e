"""Figures of single tasks, and what a learner makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from meta_tf.batch.map_tasks import map_tasks
from meta_tf.checks import check_integer
from meta_tf.learner import MetaLearner
from meta_tf.plots.style import BLUE, GREEN, GREY, ORANGE, RED, tidy
from meta_tf.types import Examples

_STEP_STYLES = [(GREY, ":"), (ORANGE, "--"), (BLUE, "-"), (GREEN, "-."), (RED, "-")]


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
            axes.set_title("support", color=GREY, fontsize=9, pad=3)
            if c == 0:
                axes.set_ylabel(f"class {label}")
        for c, i in enumerate(chosen):
            mark, colour = ("✓", GREEN) if predicted[i] == label else ("✗", RED)
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
        color=RED,
        markeredgecolor="white",
        markersize=7,
        label="support points",
    )
    tidy(axes, "x", None, None)


def _show(axes, picture, colour=GREY):
    low, high = float(picture.min()), float(picture.max())
    if low < 0 or high > 1:  # standardised pixels, say
        picture = (picture - low) / (high - low)
    axes.imshow(np.squeeze(picture), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)


def _name(learner):
    return type(learner.algorithm).__name__


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
