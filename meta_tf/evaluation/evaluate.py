"""`evaluate`: how well a learner learns new tasks, after every inner step, with an interval."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from meta_tf.algorithms import Algorithm
from meta_tf.batch.sizes import sizes_in, task_of
from meta_tf.checks import check_choice, check_integer, check_seed, check_switch
from meta_tf.evaluation.compared import Compared, comparable
from meta_tf.evaluation.measured import measured, valid_batches
from meta_tf.evaluation.metrics import mean_and_interval, of_groups
from meta_tf.evaluation.result import Evaluation
from meta_tf.evaluation.sureness import Sureness
from meta_tf.evaluation.task_metric import check_metric, task_metrics
from meta_tf.evaluation.task_sizes import TaskSizes
from meta_tf.learner import MetaLearner
from meta_tf.learner.calibrate import classifies, probabilities_of, size_of
from meta_tf.learner.query_batch import BATCH_WITH
from meta_tf.tasks.columns import check_columns
from meta_tf.tasks.group_split import WholeGroups
from meta_tf.tasks.split import Split
from meta_tf.types import Tensor

AT_ONCE = 25  # tasks held in memory at a time, by default


def evaluate(
    learner: MetaLearner,
    split: Any,
    tasks_number: int = 600,
    steps: int | None = None,
    seed: int = 0,
    tasks_at_once: int | None = None,
    metric: str | Callable[[Any, Any], Any] | None = None,
    verbose: Any = "auto",
    batch_with: str = "queries",
    baselines: Any = True,
) -> Evaluation:
    """Measures how well a learner learns new tasks: one model, a fixed list of tasks.

    With m_t the metric on the query set of task t after k inner steps on its
    support set, and n tasks, for each k = 0 … steps:

        mean = Σ m_t / n,   σ² = Σ (m_t - mean)² / (n - 1),   ci95 = 1.96 σ / √n

    The tasks are the first n episodes of `split.batches(…, seed)`, the same ones for
    every learner. They are not used to choose a checkpoint or a number of steps. If they are
    `tasks.test.whole_groups(draws)`, m_t is the mean over the tasks of group t, and n the number of
    groups: the interval is one for new groups. Of `tasks.test` itself, it is one for more tasks of
    the same groups.
    Dropout is off, and no variable of the learner changes.

    Args:
      learner: the learner; it needs no `compile`.
      split: a split of a task source, such as `tasks.test`, or any object with the same
        method `batches(tasks, seed)`. For padded tasks, only the real queries count.
      tasks_number: n, at least 2.
      steps: the last number of inner steps; if None, the algorithm's `eval_steps`, or else
        its `inner_steps`; 0 for an algorithm without inner steps.
      seed: chooses the tasks.
      tasks_at_once: tasks computed together. More need more memory; the tasks are the same.
      metric: `"accuracy"`, `"mse"`, `"loss"`, for predictions of means and scales also
        `"log_likelihood"`, `"crps"` and `"coverage_90"` (the fraction of targets inside their 90 %
        intervals), a function `(query_y, predictions) -> values` that is averaged over the query
        set, or a `keras.metrics.Metric`, which is reset for each task. If None: accuracy for
        integer labels, with the cross-entropy (`nll`) and the calibration error (`ece`) of the
        probabilities after the last step, which have the temperature of a calibrated learner; mse
        if that is the loss; for `meta_tf.GaussianLoss` the mse of the means, and the three scores
        above after the last step; otherwise the loss. Predictions that a mask excludes do not
        count; neither does the loss's `ignore_class` in the accuracy.
      verbose: 1 shows a progress bar, 0 shows none, `"auto"` shows one on a terminal.
      batch_with: which examples share a query's batch, which matters for batch norm in the mode
        `transductive`: `"queries"`, all queries of its task, as in published results; `"none"`, no
        others, as for a user's single new picture; or `"support"`, the support set.
      baselines: whether to compare the learner, on the same tasks, with what the support set
        gives without meta-learning: the nearest class mean and logistic regression, or ridge
        regression; on the inputs, and on the features of a frozen network. A split of groups to
        train on, such as `tasks.train`, adds models of all groups. For accuracy and mse only.

    Returns:
      An `Evaluation`.

    Raises:
      ValueError: if an argument is invalid, if the tasks do not fit the model or are too
        few, or if a result is not finite.

    Example:
      >>> tasks = meta_tf.tasks.Sinusoid(shots=10)
      >>> learner = meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(), loss="mse")
      >>> result = meta_tf.evaluate(learner, tasks.test, tasks_number=10, steps=2)
      >>> result.steps, result.metric
      ((0, 1, 2), 'mse')

    Reference:
      Finn, Abbeel & Levine 2017 report 600 tasks and this interval.
    """
    check_learner_and_split(learner, split)
    check_integer("tasks_number", tasks_number, at_least=2, why="an interval needs two")
    if tasks_at_once is not None:
        check_integer("tasks_at_once", tasks_at_once, at_least=1)
    check_metric(metric)
    check_choice("verbose", verbose, ("auto", 0, 1, 2))
    check_seed("seed", seed)
    steps = learner.algorithm.steps_to_evaluate() if steps is None else steps
    check_integer("steps", steps, at_least=0)
    steps = int(steps)
    check_choice("batch_with", batch_with, BATCH_WITH)
    if not isinstance(baselines, Split):
        check_switch("baselines", baselines)
    at_once = min(tasks_at_once or AT_ONCE, tasks_number)
    batches = valid_batches(learner, split.batches(at_once, seed=seed))
    x, y = first = next(batches)
    batches = itertools.chain([first], batches)
    metrics = task_metrics(learner, metric, x, y)
    name, *others = metrics
    beside = _Beside(learner)
    if baselines is not False and comparable(learner, name, x, y):
        beside.compared = Compared(learner, name, tasks_number, baselines)
    if metric is None and name == "accuracy" and y.shape.rank == 2 and classifies(learner):
        beside.sureness = Sureness()
    found = measured(learner, tuple(metrics.values()), steps, batch_with, batches, tasks_number)
    values = _collected(found, beside, tasks_number, verbose)
    per_task, last = values[..., 0], values[:, -1, 1:]
    groups = min(split.number, tasks_number) if isinstance(split, WholeGroups) else None
    mean, ci95 = mean_and_interval(of_groups(per_task, groups))
    return Evaluation(
        metric=name,
        steps=tuple(range(steps + 1)),
        mean=tuple(mean.tolist()),
        ci95=tuple(ci95.tolist()),
        tasks=tasks_number,
        groups=groups,
        seed=seed,
        **beside.sizes.of_all(),
        batch_norm=learner.network.batch_norm if learner.network.batch_norms else "none",
        batch_with=batch_with,
        algorithm=_described(learner.algorithm),
        settings=learner.algorithm.get_config(),
        per_task=per_task,
        others=_after_last_step(others, last, groups, beside.sureness),
        baselines=beside.compared.against(per_task[:, -1], groups) if beside.compared else {},
    )


class _Beside:
    """What an evaluation finds besides the metrics.

    The sizes of the tasks and, where there are any, the baselines and the learner's probabilities.
    """

    def __init__(self, learner: MetaLearner):
        self._learner = learner
        self.sizes = TaskSizes()
        self.compared: Compared | None = None
        self.sureness: Sureness | None = None

    def see(self, x: Any, y: Tensor, predictions: Any, tasks: int) -> None:
        """Adds the first tasks of a batch, by predictions [T, steps + 1, Q, ...]."""
        self.sizes.see(x, y, tasks)
        if self.compared:
            self.compared.see(x, y, tasks)
        if self.sureness:
            sets = {"support_y": x["support_y"], "query_y": y, "predictions": predictions[:, -1]}
            for task in range(tasks):
                one = task_of({**sets, **sizes_in(x)}, task)
                self.sureness.add(self._probabilities(one), one["query_y"].numpy())

    def _probabilities(self, task: dict[str, Tensor]) -> np.ndarray:
        loss, calibration = self._learner.network.loss, self._learner.calibration
        temperature = calibration.temperature(*size_of(task["support_y"])) if calibration else 1.0
        return probabilities_of(loss, task["predictions"].numpy(), temperature)


def _collected(
    batches: Iterable[Any], beside: _Beside, tasks_number: int, verbose: Any
) -> np.ndarray:
    """The metrics [n, steps + 1, M] of batches from `measured`, with a progress bar."""
    shown = sys.stdout.isatty() if verbose == "auto" else verbose
    bar = keras.utils.Progbar(tasks_number, verbose=int(shown), unit_name="task")
    collected: list[np.ndarray] = []
    for x, y, predictions, found in batches:
        beside.see(x, y, predictions, len(found))
        collected.append(found)
        bar.add(len(found))
    return np.concatenate(collected)


def _after_last_step(
    names: list[str], values: np.ndarray, groups: int | None, sureness: Sureness | None
) -> dict[str, tuple[float, float | None]]:
    """Means and half-widths of the further metrics [n, M] and of the probabilities, by name."""
    pairs = np.transpose(mean_and_interval(of_groups(values, groups))).tolist()
    found: dict[str, Any] = {name: tuple(pair) for name, pair in zip(names, pairs, strict=True)}
    if sureness is not None:
        losses = of_groups(sureness.losses()[:, np.newaxis], groups)
        (nll,), (half,) = mean_and_interval(losses)
        found |= {"nll": (float(nll), float(half)), "ece": (sureness.ece(), None)}
    return found


def _described(algorithm: Algorithm) -> str:
    """The algorithm with its rate and steps, and its settings other than the defaults."""
    shown = [
        f"{f.name}={getattr(algorithm, f.name)!r}"
        for f in dataclasses.fields(algorithm)
        if f.name in ("inner_lr", "inner_steps") or getattr(algorithm, f.name) != f.default
    ]
    return f"{type(algorithm).__name__}({', '.join(shown)})"


def check_learner_and_split(learner: Any, split: Any) -> None:
    """Raises ValueError unless there is a learner, and tasks for it."""
    if not isinstance(learner, MetaLearner):
        raise ValueError(
            "`learner` must be a meta_tf.MetaLearner. Received: "
            f"{type(learner).__name__}. Wrap a plain Keras model: MetaLearner(model, algorithm, "
            "loss=...)."
        )
    if not callable(getattr(split, "batches", None)):
        raise ValueError(
            "`split` must have a method `batches(tasks, seed)`, like the splits of a task source. "
            f"Received: {type(split).__name__}. For a source, pass a split: tasks.test."
        )
    check_columns(learner.columns, split)
