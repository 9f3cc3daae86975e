"""`select`: trains several learners briefly, and chooses one by validation tasks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

from meta_tf.checks import check_integer, check_seed
from meta_tf.data_checks.finite import DivergedStepError
from meta_tf.evaluation.evaluate import evaluate
from meta_tf.evaluation.result import name_in_units, shown_value, table
from meta_tf.learner import MetaLearner
from meta_tf.tasks.source import Source


class Round(NamedTuple):
    """A learner after some outer steps: its metric on validation tasks, infinite if it diverged."""

    name: str
    steps: int
    mean: float
    ci95: float


@dataclasses.dataclass(frozen=True)
class Selection:
    """The result of `select`; `print` shows it as a table.

    Attributes:
      best: the name of the chosen learner.
      metric: the metric that chose it.
      rounds: all evaluations, in their order.
    """

    best: str
    metric: str
    rounds: tuple[Round, ...]

    def __str__(self) -> str:
        rows = [("learner", "outer steps", f"validation {name_in_units(self.metric)}")]
        for name, steps, mean, ci95 in self.rounds:
            text = shown_value(self.metric, mean, ci95) if math.isfinite(mean) else "diverged"
            rows.append((name, str(steps), text))
        return "\n".join([*table(rows), f"Chosen: {self.best}"])


def select(
    learners: Mapping[str, MetaLearner],
    tasks: Source,
    iterations: int = 200,
    meta_batch_size: int = 8,
    tasks_number: int = 200,
    seed: int = 0,
) -> Selection:
    """Chooses among learners by successive halving on validation tasks.

    Trains all of them for `iterations` outer steps, then the better half for as many as before
    again, and so on until one is left. Test tasks are not used. The learners keep what they have
    learned, so training of the best one can go on.

    Args:
      learners: compiled learners for the same tasks, by name. The optimiser of each should have a
        constant rate.
      tasks: the source of training and validation tasks.
      iterations: outer steps of the first round.
      meta_batch_size: tasks in an outer step.
      tasks_number: validation tasks of each evaluation.
      seed: chooses the tasks.

    Returns:
      A `Selection`.

    Raises:
      ValueError: if there are no learners, they are measured differently, or all diverge.

    Example:
      >>> tasks = meta_tf.tasks.Sinusoid(shots=5)
      >>> learners = {}
      >>> for rate in (0.01, 0.1):
      ...     model = meta_tf.models.mlp()
      ...     learners[f"rate {rate}"] = meta_tf.MetaLearner(model, meta_tf.MAML(rate), "mse")
      ...     learners[f"rate {rate}"].compile("adam")
      >>> result = select(learners, tasks, iterations=2, tasks_number=10)
      >>> result.best in learners, len(result.rounds)
      (True, 2)

    Reference:
      Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter
      Optimization.
    """
    check_integer("iterations", iterations, at_least=1)
    check_integer("meta_batch_size", meta_batch_size, at_least=1)
    check_seed("seed", seed)
    if not learners:
        raise ValueError("`learners` must hold at least one learner. Received: none.")
    metrics: set[str] = set()
    rounds: list[Round] = []
    left, done, steps = list(learners), 0, iterations
    while True:
        found = []
        for name in left:
            learner, mean, ci95 = learners[name], math.inf, 0.0
            batches = tasks.train.batches(meta_batch_size, seed=seed, start=done)
            try:
                learner.fit(batches, steps_per_epoch=steps, verbose=0)
                result = evaluate(
                    learner, tasks.valid, tasks_number, seed=seed, verbose=0, baselines=False
                )
            except DivergedStepError:
                pass
            else:
                mean, ci95 = result.mean[-1], result.ci95[-1]
                metrics.add(result.metric)
            found.append(Round(name, done + steps, mean, ci95))
        rounds += found
        if len(metrics) != 1:
            what = "measured by one metric" if metrics else "trained: all of them diverge"
            raise ValueError(
                f"`learners` must be {what}. Received: {', '.join(sorted(metrics)) or 'none left'}."
            )
        (metric,) = metrics
        sign = -1 if metric == "accuracy" else 1
        found.sort(key=lambda r: sign * r.mean if math.isfinite(r.mean) else math.inf)
        left = [r.name for r in found[: -(-len(found) // 2)] if math.isfinite(r.mean)]
        if len(left) == 1:
            return Selection(left[0], metric, tuple(rounds))
        done, steps = done + steps, done + steps
