"""A learner beside baselines, on the same tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_tf.batch.sizes import sizes_in, task_of
from meta_tf.calibration import softmax
from meta_tf.evaluation import baselines
from meta_tf.evaluation.metrics import mean_and_interval, of_groups
from meta_tf.evaluation.pooled import Group, PooledRidge, pooled_logistic
from meta_tf.evaluation.sureness import Sureness
from meta_tf.learner import MetaLearner
from meta_tf.network.losses import ignored_class
from meta_tf.network.standardized import standardize_layer
from meta_tf.parts import map_parts
from meta_tf.tasks.group_split import GroupSplit
from meta_tf.types import Tensor

_MOST_ROWS = 50_000  # of the training groups
Predict = Callable[..., np.ndarray]
OF_CLASSES: dict[str, Predict] = {
    "nearest mean": baselines.nearest_mean,
    "logistic regression": baselines.logistic_regression,
}
OF_NUMBERS: dict[str, Predict] = {
    "mean of the support set": lambda _, y: y.mean(1, keepdims=True),
    "ridge regression": baselines.ridge,
}


class Baseline(NamedTuple):
    """The result of a baseline, and the learner's minus it, paired by task.

    `ci95` and `difference_ci95` are half-widths of 95 % intervals over `tasks` tasks, or over
    their groups, as those of the learner. `nll` and
    `ece` are the cross-entropy and the calibration error of a classifier with probabilities.
    """

    mean: float
    ci95: float
    difference: float
    difference_ci95: float
    tasks: int
    nll: float | None = None
    ece: float | None = None


class Compared:
    """Collects the metric of every baseline on the tasks that a learner is evaluated on.

    The support set alone gives the nearest class mean and logistic regression, or its mean and
    ridge regression: on the inputs, in standard units for a standardized learner, and on the
    features of a frozen network. Groups to train on, a `GroupSplit` as `known`, add pooled models.
    """

    def __init__(self, learner: MetaLearner, metric: str, tasks: int, known: Any):
        self._classify = metric == "accuracy"
        self._units = standardize_layer(learner.model)
        # A frozen network takes as long again as its learner does: a twentieth of the tasks.
        self._body, self._body_tasks = _frozen_body(learner.model), max(20, tasks // 20)
        self._values: dict[str, list[np.ndarray]] = {}
        self._sureness: dict[str, Sureness] = {}
        self._known: list[Group] = []
        self._pooled: PooledRidge | None = None
        if isinstance(known, GroupSplit):
            self._take(known)

    def see(self, x: dict[str, Tensor], y: Tensor, tasks: int) -> None:
        """Adds the first tasks of a batch."""
        names = ("support_x", "support_y", "query_x")
        if not sizes_in(x):
            self._add(*(t[:tasks] for t in (*(x[name] for name in names), y)))
            return
        for task in range(tasks):
            one = task_of({**x, "query_y": y}, task)
            self._add(*(one[name][tf.newaxis] for name in (*names, "query_y")))

    def against(self, values: np.ndarray, groups: int | None) -> dict[str, Baseline]:
        """The baselines by name, best first; `values` [n] are the learner's.

        `groups`: as for `of_groups`.
        """
        found = {}
        for name, parts in self._values.items():
            own = np.concatenate(parts)
            pairs = np.stack([own, values[: len(own)] - own], 1)
            means, halves = mean_and_interval(of_groups(pairs, groups))
            (own_mean, apart), (own_half, apart_half) = means.tolist(), halves.tolist()
            found[name] = Baseline(own_mean, own_half, apart, apart_half, len(own))
            if name in self._sureness:
                sure = self._sureness[name]
                found[name] = found[name]._replace(nll=float(sure.losses().mean()), ece=sure.ece())
        sign = -1 if self._classify else 1
        return dict(sorted(found.items(), key=lambda item: sign * item[1].mean))

    def _take(self, known: GroupSplit) -> None:
        groups = known.by_group()
        order, rows = np.random.default_rng(0).permutation(len(groups)), 0
        for number in order:
            rows += len(groups[number][0])
            if self._known and rows > _MOST_ROWS:
                break
            self._known.append(groups[number])
        x = self._standard(np.concatenate([x for x, _ in self._known]))
        deviation = x.std(0)
        self._mean, self._deviation = x.mean(0), np.where(deviation > 0, deviation, 1.0)
        self._known = [(self._scaled(x), y) for x, y in self._known]
        if not self._classify:
            self._pooled = PooledRidge(self._known)

    def _add(self, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor) -> None:
        y, labels = support_y.numpy(), query_y.numpy()
        sides = {"": self._standard}
        if self._body is not None and self._body_tasks > 0:
            self._body_tasks -= len(y)
            sides[" on features"] = self._features
        for side, inputs in sides.items():
            task = baselines.spectrum(inputs(support_x), inputs(query_x))
            for name, predict in (OF_CLASSES if self._classify else OF_NUMBERS).items():
                if not (side and name.startswith("mean")):
                    self._note(name + side, predict(task, y), labels)
        for one in range(len(y) if self._known else 0):
            x, new = self._scaled(support_x[one].numpy()), self._scaled(query_x[one].numpy())
            if self._pooled is None:
                found = {"logistic regression on all groups": pooled_logistic(self._known, new)}
            else:
                found = self._pooled.predictions(x, y[one], new)
            for name, predictions in found.items():
                self._note(name, predictions[np.newaxis], labels[one][np.newaxis])

    def _note(self, name: str, predictions: np.ndarray, y: np.ndarray) -> None:
        """Adds predictions [T, Q, D] or classes [T, Q], or [T, Q, N], their logits."""
        if self._classify and predictions.ndim > y.ndim:
            sureness = self._sureness.setdefault(name, Sureness())
            for logits, labels in zip(predictions, y, strict=True):
                sureness.add(softmax(logits), labels)
            predictions = predictions.argmax(-1)
        values = predictions == y if self._classify else np.square(predictions - y)
        each = values.reshape(len(y), -1).mean(1)
        self._values.setdefault(name, []).append(each)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return ((self._standard(x) - self._mean) / self._deviation).reshape(len(x), -1)

    def _standard(self, x: Any) -> np.ndarray:
        """Inputs in standard units, gaps filled and categories apart, as the network sees them."""
        if self._units is not None:
            return self._units(x).numpy()
        x = np.asarray(x)
        return x / np.float32(255) if x.dtype == np.uint8 else x  # pixels that the model scales

    def _features(self, x: Tensor) -> np.ndarray:
        flat = tf.reshape(x, [-1, *x.shape[2:]])
        body: Any = self._body
        return map_parts(body.predict_on_batch, flat).reshape(*x.shape[:2], -1)


def comparable(learner: MetaLearner, metric: str, x: dict[str, Any], y: Tensor) -> bool:
    """Whether the baselines can do these tasks: vectors or pictures, one target each."""
    inputs = x["support_x"]
    if metric not in ("accuracy", "mse") or not tf.is_tensor(inputs) or not x["support_y"].shape[1]:
        return False
    measured = inputs.dtype.is_floating or inputs.dtype == tf.uint8
    rank = 2 if metric == "accuracy" else 3
    return measured and len(y.shape) == rank and ignored_class(learner.network.loss) is None


def sentence(metric: str, rows: dict[str, Baseline], shown: Callable[..., str]) -> str:
    """Whether the learner beats the best baseline, and by how much."""
    name, best = next(iter(rows.items()))
    gain = best.difference if metric == "accuracy" else -best.difference
    by = shown(metric, abs(gain), best.difference_ci95)
    if gain > best.difference_ci95:
        return f"The learner beats the best of them, {name}, by {by}."
    if gain < -best.difference_ci95:
        return f"The learner does not beat {name}, which is better by {by}."
    what = f"it is {'better' if gain > 0 else 'worse'} by" if gain else "the difference is"
    return f"The learner does not clearly beat {name}: {what} {by}."


def _frozen_body(model: keras.Model) -> keras.Model | None:
    """The frozen network at a model's beginning; None if there is none, or it is not a chain."""
    if not model.weights or not isinstance(getattr(model, "inputs", None), list):
        return None
    if not model.trainable_weights:
        return model
    frozen: list[keras.layers.Layer] = []
    for layer in model.layers if isinstance(model, keras.Sequential) else ():
        if layer.trainable_weights:
            break
        frozen.append(layer)
    if not any(layer.weights for layer in frozen):
        return None
    first = model.inputs[0]
    return keras.Sequential([keras.Input(first.shape[1:], dtype=first.dtype), *frozen])
