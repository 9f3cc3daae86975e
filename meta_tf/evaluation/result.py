"""`Evaluation`: the results of `evaluate`, to print, save and load."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from meta_tf.evaluation.compared import Baseline, sentence
from meta_tf.files import write_text

Size: TypeAlias = int | tuple[int, int]
"""A number of classes or examples, or the smallest and the largest number."""


_FRACTIONS = ("accuracy", "coverage_90", "ece")  # shown in percent


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The results of `evaluate`. `print` shows them as a table, `save` writes them as JSON.

    Attributes:
      metric: name of the metric: `"accuracy"` (a fraction of 1), `"mse"`, `"loss"`, or
        the name of your function.
      steps: the numbers of inner steps, 0, 1, … K; only 0 for an algorithm without any.
      mean: the metric's mean over tasks after each number of steps.
      ci95: half-width of its 95 % confidence interval, 1.96 σ / √tasks; of several groups, over
        the means of the groups.
      tasks: the number of tasks.
      groups: the number of groups that the tasks are of, such as patients; None if all are new.
      seed: the seed that chose the tasks.
      ways: classes in a task; None for regression. If tasks differ, this and the next two
        are pairs of the smallest and the largest number.
      shots: support examples; for classification, of each class.
      queries: query examples, likewise.
      batch_norm: the learner's batch-norm mode; `"none"` without batch normalisation.
      algorithm: the algorithm, its rate and steps, and settings other than the defaults.
      settings: all its settings.
      per_task: the metric of every task, [tasks, K + 1]; empty after `load`.
      batch_with: which examples shared a query's batch: `"queries"`, those of its task,
        `"support"`, or `"none"`.
      others: further metrics after the last step: mean and half-width of the interval, by name. For
        accuracy, `nll` and `ece` are the cross-entropy of the probabilities and their expected
        calibration error, which is of all queries together and has no interval.
      baselines: the `Baseline`s on the same tasks by name, the best first: its mean, the learner's
        minus it, and intervals of both.
    """

    metric: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    ci95: tuple[float, ...]
    tasks: int
    seed: int
    ways: Size | None
    shots: Size
    queries: Size
    batch_norm: str
    algorithm: str
    settings: dict[str, Any]
    per_task: np.ndarray = dataclasses.field(repr=False, compare=False)
    batch_with: str = "queries"
    others: dict[str, tuple[float, float | None]] = dataclasses.field(default_factory=dict)
    baselines: dict[str, Baseline] = dataclasses.field(default_factory=dict)
    groups: int | None = None

    def __str__(self) -> str:
        rows = [
            (str(k), shown_value(self.metric, m, c))
            for k, m, c in zip(self.steps, self.mean, self.ci95, strict=True)
        ]
        metric = name_in_units(self.metric)
        if len(rows) == 1 and "inner_steps" not in self.settings:  # there are no inner steps
            rows = [(metric, rows[0][1])]
        else:
            rows.insert(0, ("inner steps", metric))
        rows += [(name_in_units(n), shown_value(n, *pair)) for n, pair in self.others.items()]
        left = max(11, *(len(name) for name, _ in rows))
        width = max(len(value) for _, value in rows)
        return "\n".join(
            [
                f"{self._tasks()} (seed {self.seed}), {self.kind}, "
                f"{shown_size(self.queries)} "
                + ("queries" if self.ways is None else "queries a class"),
                f"{self.algorithm}{self._batch_norm()}",
                f"mean over {self._units()} ± 95 % confidence interval",
                *(f"{name:>{left}}   {value:>{width}}" for name, value in rows),
                *self._compared(),
            ]
        )

    @property
    def kind(self) -> str:
        """A name for the tasks, such as `5-way 1-shot`."""
        shots = f"{shown_size(self.shots)}-shot"
        return shots if self.ways is None else f"{shown_size(self.ways)}-way {shots}"

    def _tasks(self) -> str:
        """Such as `60 new tasks of 12 groups`."""
        of = "" if self.groups is None else f" of {self.groups} group{'s' * (self.groups > 1)}"
        return f"{self.tasks} new tasks{of}"

    def _units(self) -> str:
        """What the interval is over."""
        return "tasks" if self.groups in (None, 1) else "groups"

    def _compared(self) -> list[str]:
        """The baselines, and how the learner compares."""
        if not self.baselines:
            return []
        rows = [["baseline", name_in_units(self.metric), "the learner minus it", "NLL", "ECE"]]
        for name, b in self.baselines.items():
            minus = shown_value(self.metric, b.difference, b.difference_ci95, "+")
            fewer = f" ({b.tasks} tasks)" if b.tasks < self.tasks else ""
            sure = [
                "" if value is None else shown_value(metric, value)
                for metric, value in (("nll", b.nll), ("ece", b.ece))
            ]
            rows.append([name + fewer, shown_value(self.metric, b.mean, b.ci95), minus, *sure])
        if not any(row[3] for row in rows[1:]):
            rows = [row[:3] for row in rows]
        return [*table(rows), sentence(self.metric, self.baselines, shown_value)]

    def _batch_norm(self) -> str:
        if self.batch_norm == "none":
            return ""
        others = {"queries": "", "support": ", each query with the support set"}
        return f", batch norm: {self.batch_norm}{others.get(self.batch_with, ', each query alone')}"

    def to_json(self) -> str:
        """The results as JSON: all but `per_task`."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["per_task"]
        fields["baselines"] = {n: b._asdict() for n, b in self.baselines.items()}
        return json.dumps(fields, indent=2, default=str)

    def save(self, path: str | Path) -> None:
        """Writes `to_json()` to a file, completely or not at all."""
        write_text(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Reads a file that `save` wrote, or a run's `results.json`; ValueError for any other."""
        names = {f.name for f in dataclasses.fields(cls)} - {"per_task"}
        # Missing in older files.
        content: dict[str, Any] = {"batch_with": "queries", "others": {}, "baselines": {}}
        content["groups"] = None
        content |= json.loads(Path(path).read_text(encoding="utf-8"))
        if missing := names - set(content):
            raise ValueError(
                "`path` must be a file written by `Evaluation.save` or train.py. Received: "
                f"{str(path)!r}, without {', '.join(sorted(missing))}."
            )
        content["baselines"] = {n: Baseline(**b) for n, b in content["baselines"].items()}
        content["others"] = {n: tuple(pair) for n, pair in content["others"].items()}
        values: dict[str, Any] = {n: content[n] for n in names}
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        return cls(**values, per_task=np.empty([0, len(values["steps"])]))


_NAMES = {
    "log_likelihood": "log-likelihood",
    "coverage_90": "90 % intervals hold, in %",
    "nll": "cross-entropy (NLL)",
    "ece": "calibration error (ECE) in points",
}


_SMALL, _LARGE = 1e-3, 1e6  # four decimals show the numbers between them


def name_in_units(metric: str) -> str:
    """The name of a metric, with a unit that its numbers do not show."""
    return _NAMES.get(metric, metric + " in %" * (metric in _FRACTIONS))


def shown_value(metric: str, mean: float, ci95: float | None = None, sign: str = "") -> str:
    """`98.70 ± 0.31`, in the unit of `name_in_units`; with `sign="+"`, the mean has its sign.

    Very small and very large numbers, in the targets' own unit, have four digits: `1.234e-12`.
    """
    scale, digits = (100, ".2f") if metric in _FRACTIONS else (1, ".4f")
    largest = max(abs(mean), abs(ci95 or 0))
    if metric not in _FRACTIONS and largest and not _SMALL <= largest < _LARGE:
        digits = "#.4g"
    half = "" if ci95 is None else f" ± {scale * ci95:{digits}}"
    return f"{scale * mean:{sign}{digits}}{half}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of a table, the first column on the left and the others on the right."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join([first.ljust(wide[0]), *map(str.rjust, rest, wide[1:])]).rstrip()
        for first, *rest in rows
    ]


def shown_size(size: Size | list[int]) -> str:
    """`5`, or `2–20` for a range, which is a list in JSON."""
    return str(size) if isinstance(size, int) else f"{size[0]}–{size[1]}"
