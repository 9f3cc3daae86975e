"""What `--algorithm=auto` chooses on two made-up tables, beside a forest and ridge regression.

    python -m benchmarks.made_up_tables [--workdir=runs]

Both tables have 150 groups and 40 or 12 rows of each. The command itself trains on them, with its
own preset:

    meta-tf train --task=table --data=FILE --target=y --group=group --algorithm=auto

The baseline is what a practitioner would try: a random forest (scikit-learn) on the rows of all
training and validation groups, and ridge regression of its errors on a new group's support set,
with the penalty that is best on the validation groups. Errors are those of the same tasks, each
test group with four random support sets of five rows. Writes
benchmarks/results/made_up_tables.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from sklearn.ensemble import RandomForestRegressor

import meta_tf
from benchmarks.interval import interval
from meta_tf.command.learners import load
from meta_tf.layers.table_columns import MISSING

RESULTS = Path(__file__).parent / "results" / "made_up_tables.json"
GROUPS, DRAWS, SEED = 150, 4, 0
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", default="runs", help="the folder of tables and trainings")
    given = parser.parse_args()
    tables: dict[str, Callable[[], pandas.DataFrame]] = {"sensors": sensors, "patients": patients}
    found = {name: measured(name, make(), Path(given.workdir)) for name, make in tables.items()}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(RESULTS.read_text())


def sensors() -> pandas.DataFrame:
    """Readings of sensors, each with an offset and sensitivities of its own.

    y = o + g t / 10 + c (h - 50) / 20 + k sin(t / 8) + noise: o, g and c belong to the sensor, k to
    its model. Some humidities h are missing.
    """
    rng = np.random.default_rng(1)
    rows = 40
    t, h = rng.uniform(-10, 40, [GROUPS, rows]), rng.uniform(10, 95, [GROUPS, rows])
    o, g, c = (rng.normal(m, s, [GROUPS, 1]) for m, s in ((0, 5), (2, 1.5), (1, 1)))
    model = rng.integers(0, 3, [GROUPS, 1])
    k = np.array([1.0, 4.0, -3.0])[model]
    y = o + g * t / 10 + c * (h - 50) / 20 + k * np.sin(t / 8) + rng.normal(0, 1, t.shape)
    h[rng.random(h.shape) < 0.05] = np.nan
    names = np.array(["A", "B", "C"])[np.broadcast_to(model, t.shape)]
    return _table(temperature=t, humidity=h, model=names, y=y)


def patients() -> pandas.DataFrame:
    """Logarithms of a drug's concentration, each patient with a volume and a rate of decay.

    y = log(dose / V) - r t + noise; V and r depend on weight and age, and differ by patient.
    """
    rng = np.random.default_rng(2)
    rows = 12
    weight, age = rng.normal(75, 15, [GROUPS, 1]).clip(40, 130), rng.uniform(20, 85, [GROUPS, 1])
    volume = 0.3 * weight * np.exp(rng.normal(0, 0.3, [GROUPS, 1]))
    rate = 0.012 * np.exp(-0.01 * (age - 50) + rng.normal(0, 0.4, [GROUPS, 1]))
    t, dose = rng.uniform(5, 300, [GROUPS, rows]), rng.uniform(50, 300, [GROUPS, 1])
    y = np.log(dose / volume) - rate * t + rng.normal(0, 0.2, t.shape)
    each = {n: np.broadcast_to(v, t.shape) for n, v in (("weight", weight), ("age", age))}
    return _table(**each, dose=np.broadcast_to(dose, t.shape), minute=t, y=y)


def _table(**columns: np.ndarray) -> pandas.DataFrame:
    rows = next(iter(columns.values())).shape[1]
    group = np.repeat([f"g{i:03}" for i in range(GROUPS)], rows)
    return pandas.DataFrame({"group": group} | {n: v.ravel() for n, v in columns.items()})


def measured(name: str, table: pandas.DataFrame, workdir: Path) -> dict[str, Any]:
    """Trains on a table, and returns the errors of the learner and of the baseline."""
    workdir.mkdir(parents=True, exist_ok=True)
    path, run = workdir / f"{name}.csv", workdir / f"{name}_auto"
    table.to_csv(path, index=False)
    command = ["train", "--task=table", f"--data={path}", "--target=y", "--group=group"]
    command += ["--algorithm=auto", f"--workdir={run}"]
    subprocess.run([sys.executable, "-m", "meta_tf.command", *command], check=True)
    learner = load(run)
    tasks = meta_tf.tasks.from_table(path, "y", "group")
    baseline = ForestAndRidge(tasks)
    errors: dict[str, list[float]] = {"learner": [], "forest and ridge": []}
    for x, y in tasks.test.whole_groups(DRAWS).batches(1, seed=SEED):
        one = {key: value.numpy()[0] for key, value in x.items()}
        support, query = (one["support_x"], one["support_y"]), one["query_x"]
        fitted = learner.adapt(*support)
        means = fitted.predict(query, verbose=0)[:, :1]
        for method, found in (("learner", means), ("forest and ridge", baseline(*support, query))):
            errors[method].append(float(np.mean((y.numpy()[0] - found) ** 2)))
    # The mean over a group's support sets: groups are independent, its support sets are not.
    by_group = {m: np.reshape(values, [DRAWS, -1]).mean(0) for m, values in errors.items()}
    difference = by_group["learner"] - by_group["forest and ridge"]
    selection = json.loads((run / "selection.json").read_text())
    return {
        "algorithm": selection["best"],
        "selection": selection["rounds"],
        "groups": len(tasks.test.groups),
        "squared_error": {method: interval(values) for method, values in by_group.items()},
        "learner_minus_forest_and_ridge": interval(difference),
    }


class ForestAndRidge:
    """A forest of all known groups, and ridge regression of its errors on the support set."""

    def __init__(self, tasks: Any):
        known = [tasks.train.by_group(), tasks.valid.by_group()]
        rows = np.concatenate([x for x, _ in known[0]])
        # Categories are numbers, which suits trees.
        self._fill = np.array([c[c != MISSING].mean() for c in rows.T])
        filled = self._filled(rows)
        self._mean, self._scale = filled.mean(0), filled.std(0)
        self._forest = self._fitted(known[0])
        self._penalty = min(PENALTIES, key=lambda p: self._error(known[1], p))
        self._forest = self._fitted([*known[0], *known[1]])

    def __call__(self, support_x: np.ndarray, support_y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The predictions for `x`, [Q, 1]."""
        return self._predicted(support_x, support_y, x, self._penalty)

    def _predicted(
        self, support_x: np.ndarray, support_y: np.ndarray, x: np.ndarray, penalty: float
    ) -> np.ndarray:
        support, query = (self._filled(rows) for rows in (support_x, x))
        left = support_y[:, 0] - self._forest.predict(support)
        # The offset is not penalised as much as the slopes: it is what groups differ by most.
        a, b = (
            np.concatenate([np.full([len(rows), 1], 3.0), (rows - self._mean) / self._scale], 1)
            for rows in (support, query)
        )
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ left)
        return (self._forest.predict(query) + b @ weights)[:, None]

    def _error(self, groups: list, penalty: float) -> float:
        rng = np.random.default_rng(0)
        found = []
        for x, y in groups:
            order = rng.permutation(len(x))
            s, q = order[:5], order[5:]
            found.append(np.mean((y[q] - self._predicted(x[s], y[s], x[q], penalty)) ** 2))
        return float(np.mean(found))

    def _fitted(self, groups: list) -> RandomForestRegressor:
        x = self._filled(np.concatenate([x for x, _ in groups]))
        y = np.concatenate([y for _, y in groups])[:, 0]
        return RandomForestRegressor(300, min_samples_leaf=5, random_state=0).fit(x, y)

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        return np.where(rows == MISSING, self._fill, rows)


if __name__ == "__main__":
    main()
