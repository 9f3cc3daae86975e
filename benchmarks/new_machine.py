"""The next outputs of a new machine, from a record of 400 samples, against least squares.

    python -m benchmarks.new_machine

ALPaCA is trained on simulated machines (`benchmarks.linear_systems`) with a measurement noise of
0.1, and from there with 0.3. The baselines see the same record: ARX models by least squares, with
the order chosen by Akaike's criterion, and by ridge regression, with the penalty chosen by
cross-validation within the record. Nobody can predict the noise itself, so the least possible mean
squared error is its variance. Continues where it stopped, and writes
benchmarks/results/new_machine.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

import meta_tf
from benchmarks import long_training
from benchmarks.interval import interval
from benchmarks.linear_systems import LAGS, NEXT, RECORD, Machines

RESULTS = Path(__file__).parent / "results"
STEPS = {0.1: 3000, 0.3: 3000}  # of each noise; the second training continues from the first
TASKS, RATE, EVERY, PER_CALL = 16, 3e-3, 250, 10
TEST_TASKS = 200
PENALTIES = 10.0 ** np.arange(-2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", default="runs", help="the trainings' folder")
    given = parser.parse_args()
    folder = Path(given.workdir)
    found: dict[str, Any] = {
        "record": RECORD,
        "next_outputs": NEXT,
        "test_machines": TEST_TASKS,
        "tasks_of_a_step": TASKS,
        "noises": {},
    }
    before: Path | None = None
    for noise, steps in STEPS.items():
        source = tasks(noise)
        runs = folder / f"new_machine_{noise}"
        learner = long_training.train(
            functools.partial(make, before),
            source.train,
            runs,
            steps=steps,
            tasks=TASKS,
            rate=RATE,
            every=EVERY,
            per_call=PER_CALL,
        )
        found["noises"][str(noise)] = {
            "steps": steps,
            "cpu_seconds": long_training.cpu_seconds(runs),
            "least_possible": round(noise**2, 4),
            **measure(learner, source.test),
        }
        (RESULTS / "new_machine.json").write_text(json.dumps(found, indent=2) + "\n")
        before = runs / "learner.keras"
    print((RESULTS / "new_machine.json").read_text())


def tasks(noise: float = 0.1, workers: int = 0) -> meta_tf.tasks.Source:
    """Records of random linear systems.

    Args:
      noise: the standard deviation of the measurements' noise; that of the output is 1.
      workers: the processes that simulate.
    """
    return meta_tf.tasks.from_function(Machines(noise), numpy=True, workers=workers)


def make(before: Path | None = None) -> meta_tf.MetaLearner:
    """Bayesian linear regression on the lagged values, with a learned prior.

    Args:
      before: a learner whose weights to start from.
    """
    keras.utils.set_random_seed(0)
    body = meta_tf.models.mlp(2 * LAGS, 2 * LAGS, (), kernel_initializer="orthogonal")
    learner = meta_tf.MetaLearner(body, meta_tf.ALPaCA(noise=0.5), meta_tf.GaussianLoss())
    if before:
        learner.set_weights(keras.models.load_model(before, compile=False).get_weights())
    return learner


def measure(learner: Any, part: Any) -> dict[str, Any]:
    """The scores of all methods on the test machines."""
    errors: dict[str, list[float]] = {}
    scores: dict[str, list[float]] = {}
    for x, y in part.batches(20).take(TEST_TASKS // 20):
        outputs = learner.predict_on_batch(x)
        errors.setdefault("ALPaCA", []).extend(np.mean((outputs[..., :1] - y) ** 2, (1, 2)))
        for name, values in (
            ("log_likelihood", meta_tf.gaussian.log_likelihood(y, outputs)),
            ("coverage_90", meta_tf.gaussian.coverage(y, outputs, 0.9)),
        ):
            scores.setdefault(name, []).extend(np.mean(values, 1))
        for one in zip(
            *(x[k].numpy() for k in ("support_x", "support_y", "query_x")), y.numpy(), strict=True
        ):
            for name, method in BASELINES.items():
                errors.setdefault(name, []).append(method(*(a.astype(float) for a in one)))
    ours = np.array(errors["ALPaCA"])
    return {
        "mean_squared_error": {name: interval(values, 5) for name, values in errors.items()},
        "minus_alpaca": {
            name: interval(np.array(values) - ours, 5)
            for name, values in errors.items()
            if name != "ALPaCA"
        },
        "alpaca": {name: interval(values, 5) for name, values in scores.items()},
    }


def least_squares(x: np.ndarray, y: np.ndarray, new_x: np.ndarray, new_y: np.ndarray) -> float:
    """ARX of the order with the best Akaike criterion: its mean squared error on new samples."""
    gram, moments = x.T @ x, x.T @ y
    best, error = math.inf, math.nan
    for order in range(1, LAGS + 1):
        columns = np.r_[:order, LAGS : LAGS + order]
        weights = np.linalg.solve(gram[np.ix_(columns, columns)], moments[columns])
        left = np.mean((y - x[:, columns] @ weights) ** 2)
        criterion = len(y) * np.log(left) + 2 * len(columns)
        if criterion < best:
            best = criterion
            error = float(np.mean((new_y - new_x[:, columns] @ weights) ** 2))
    return error


def ridge(x: np.ndarray, y: np.ndarray, new_x: np.ndarray, new_y: np.ndarray) -> float:
    """ARX of the highest order with a penalty, chosen by five-fold cross-validation."""
    folds = [(x[part], y[part]) for part in np.array_split(np.arange(len(y)), 5)]
    grams = np.stack([a.T @ a for a, _ in folds])
    moments = np.stack([a.T @ b for a, b in folds])
    unit = np.eye(x.shape[1])

    def held_out(penalty: float) -> float:
        rest = np.linalg.solve(grams.sum(0) - grams + penalty * unit, moments.sum(0) - moments)
        return sum(float(np.sum((b - a @ w) ** 2)) for (a, b), w in zip(folds, rest, strict=True))

    penalty = min(PENALTIES, key=held_out)
    weights = np.linalg.solve(grams.sum(0) + penalty * unit, moments.sum(0))
    return float(np.mean((new_y - new_x @ weights) ** 2))


BASELINES = {
    "ARX, least squares, order by Akaike's criterion": least_squares,
    "ARX, ridge regression, penalty by cross-validation": ridge,
}


if __name__ == "__main__":
    main()
