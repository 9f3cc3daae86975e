"""`confidence`: whether probabilities are right, and how often unknown classes are refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from meta_tf.calibration import auroc
from meta_tf.checks import check_integer
from meta_tf.evaluation.evaluate import check_learner_and_split
from meta_tf.evaluation.result import name_in_units
from meta_tf.evaluation.sureness import Sureness
from meta_tf.learner import MetaLearner
from meta_tf.learner.calibrate import size_of, tasks_of


@dataclasses.dataclass(frozen=True)
class Confidence:
    """The results of `confidence`. `print` shows them as a table.

    Attributes:
      tasks: the number of tasks.
      ways: classes in a task, on average.
      shots: support examples per class, on average.
      accuracy: the fraction of queries whose most likely class is right.
      nll: the mean over tasks of the mean of -log p of the right class.
      ece: the expected calibration error over all queries, from 0 to 1.
      false_alarms: the fraction of queries of known classes that are called none of them.
      refused: the fraction of queries of a class without support examples that are called none.
      auroc: the probability that a query of that class is stranger than one of a known class of
        the same task.
    """

    tasks: int
    ways: float
    shots: float
    accuracy: float
    nll: float
    ece: float
    false_alarms: float
    refused: float
    auroc: float

    def __str__(self) -> str:
        rows = (
            ("accuracy in %", f"{100 * self.accuracy:.2f}"),
            (name_in_units("nll"), f"{self.nll:.4f}"),
            (name_in_units("ece"), f"{100 * self.ece:.2f}"),
            ("known classes called unknown, in %", f"{100 * self.false_alarms:.2f}"),
            ("unknown classes called unknown, in %", f"{100 * self.refused:.2f}"),
            ("AUROC of unknown classes", f"{self.auroc:.4f}"),
        )
        title = f"{self.tasks} new tasks, {self.ways:g}-way {self.shots:g}-shot"
        return "\n".join([title, *(f"{name:>36}   {value:>7}" for name, value in rows)])

    def to_json(self) -> str:
        """The results as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def confidence(
    learner: MetaLearner, split: Any, tasks_number: int = 600, seed: int = 0
) -> Confidence:
    """Measures the probabilities of a calibrated learner, and its answers to unknown classes.

    Each task is learned twice: with all classes, and without its last one, whose queries are
    then of an unknown class. Each query is predicted independently of the others; in the
    batch-norm mode `transductive`, in one batch with the support set.

    Args:
      learner: a calibrated learner; see `MetaLearner.calibrate`.
      split: a split of a task source with three classes or more in a task, such as `tasks.test`;
        not the one that it was calibrated on.
      tasks_number: the number of tasks, the first ones of `split.batches(…, seed)`.
      seed: chooses the tasks.

    Returns:
      A `Confidence`.

    Raises:
      ValueError: if the learner is not calibrated, or the tasks are too few or too small.

    Example:
      >>> x, y = np.random.default_rng(0).normal(size=[600, 3]), np.arange(600) % 30
      >>> source = meta_tf.tasks.from_arrays(x, y, ways=3, shots=2, queries=4)
      >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
      >>> protonet = meta_tf.MetaLearner(
      ...     meta_tf.models.mlp(3, outputs=None), meta_tf.ProtoNet(ways=3), loss
      ... )
      >>> _ = protonet.calibrate(source.valid, tasks_number=20)
      >>> meta_tf.confidence(protonet, source.test, tasks_number=10).ways
      3.0
    """
    check_learner_and_split(learner, split)
    check_integer("tasks_number", tasks_number, at_least=1)
    sizes, areas, known, unknown, sureness = [], [], [], [], Sureness()
    for task in tasks_of(split, tasks_number, seed):
        support_x, support_y, query_x, query_y = (
            np.asarray(task[name]) for name in ("support_x", "support_y", "query_x", "query_y")
        )
        ways, shots = size_of(support_y)
        if ways < 3:
            raise ValueError(
                "`split` must have tasks of three classes or more: one of them is left out, as "
                f"unknown. Received: a task of {ways}."
            )
        sizes.append((ways, shots))
        fitted = learner.adapt(support_x, support_y)
        p, strange = fitted.predict_with_strangeness(query_x, batch_with=support_x)
        sureness.add(p, query_y)
        known.append(strange > 0)
        last = support_y.max()
        kept = support_y != last
        fitted = learner.adapt(support_x[kept], support_y[kept])
        _, strange = fitted.predict_with_strangeness(query_x, batch_with=support_x[kept])
        unknown.append(strange[query_y == last] > 0)
        areas.append(auroc(strange[query_y != last], strange[query_y == last]))
    return Confidence(
        tasks=tasks_number,
        ways=float(np.mean([ways for ways, _ in sizes])),
        shots=float(np.mean([shots for _, shots in sizes])),
        accuracy=sureness.accuracy(),
        nll=float(sureness.losses().mean()),
        ece=sureness.ece(),
        false_alarms=float(np.concatenate(known).mean()),
        refused=float(np.concatenate(unknown).mean()),
        auroc=float(np.mean(areas)),
    )
