"""How near a trained network comes to the Gaussian process that made its tasks.

    python -m benchmarks.gaussian_process rbf
    python -m benchmarks.gaussian_process matern

A task is a function drawn from a Gaussian process with its own length scale ℓ ~ U[0.1, 0.6] and
height s ~ U[0.1, 1], 50 points x ~ U[-2, 2] and noise 0.02: 20 points are the support set, the
other 30 the queries. The exact process knows ℓ and s of each task; the learner does not. Between
them stands the best prediction from the support set alone, the process averaged over ℓ and s.

Trains, continues a training that was stopped, and writes
benchmarks/results/gaussian_process_KERNEL.json.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import meta_tf
from benchmarks import long_training
from benchmarks.interval import interval

RESULTS = Path(__file__).parent / "results"
KERNELS = ("rbf", "matern")
SUPPORT, QUERIES, TEST_TASKS = 20, 30, 500
LENGTHS, HEIGHTS, X, NOISE = (0.1, 0.6), (0.1, 1.0), (-2.0, 2.0), 0.02
STEPS, TASKS = {"rbf": 48_000, "matern": 20_000}, 32
_TEST = 2**24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernel", choices=KERNELS)
    parser.add_argument("--workdir", default="runs", help="the trainings' folder")
    parser.add_argument("--steps", type=int, help="by default as many as in the results")
    given = parser.parse_args()
    steps = given.steps or STEPS[given.kernel]
    source = tasks(given.kernel)
    folder = Path(given.workdir) / f"gaussian_process_{given.kernel}"
    learner = long_training.train(make, source.train, folder, steps=steps, tasks=TASKS)
    found = {
        "kernel": given.kernel,
        "support": SUPPORT,
        "test_tasks": TEST_TASKS,
        "steps": steps,
        "tasks_of_a_step": TASKS,
        "cpu_seconds": long_training.cpu_seconds(folder),
        **measure(learner, given.kernel),
    }
    path = RESULTS / f"gaussian_process_{given.kernel}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(path.read_text())


def tasks(kernel: str = "rbf") -> meta_tf.tasks.Source:
    """Functions drawn from Gaussian processes.

    Args:
      kernel: `"rbf"`, or `"matern"` for Matérn-5/2.
    """

    def one(seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        x, y, _, _ = draw(kernel, seed)
        return x[:SUPPORT], y[:SUPPORT], x[SUPPORT:], y[SUPPORT:]

    return meta_tf.tasks.from_function(one)


def draw(kernel: str, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """A function at 50 points x and y [50, 1], and the process's length scale and height."""
    seeds = tf.random.split(seed, 3)
    length, height = tf.unstack(tf.random.stateless_uniform([2], seeds[0]))
    length, height = _between(LENGTHS, length), _between(HEIGHTS, height)
    x = tf.random.stateless_uniform([SUPPORT + QUERIES, 1], seeds[1], *X)
    known = covariance(kernel, x - tf.transpose(x), length, height)
    known += NOISE**2 * tf.eye(len(x))
    y = tf.linalg.cholesky(known) @ tf.random.stateless_normal(x.shape, seeds[2])
    return x, y, length, height


def covariance(kernel: str, distance: Any, length: Any, height: Any) -> Any:
    """The kernel's covariance of two points at a distance."""
    r = tf.abs(distance) / length
    if kernel == "rbf":
        return height**2 * tf.exp(-(r**2) / 2)
    r *= math.sqrt(5.0)
    return height**2 * (1 + r + r**2 / 3) * tf.exp(-r)


def measure(learner: Any, kernel: str) -> dict[str, Any]:
    """Mean log-likelihoods of a query, and calibration, of all methods on the same tasks."""
    likelihoods: dict[str, list[float]] = {}
    inside = []
    for number in range(TEST_TASKS):
        seed = tf.constant([_TEST, number])  # larger than any seed of the training
        x, y, length, height = (t.numpy() for t in draw(kernel, seed))
        batch = {"support_x": x[None, :SUPPORT], "support_y": y[None, :SUPPORT]}
        outputs = learner.predict_on_batch({**batch, "query_x": x[None, SUPPORT:]})[0]
        learned = meta_tf.gaussian.log_likelihood(y[SUPPORT:], outputs)
        inside.append(np.mean(meta_tf.gaussian.coverage(y[SUPPORT:], outputs, 0.9)))
        lengths, heights = (
            np.linspace(*limits, 2 * n + 1)[1::2] for limits, n in ((LENGTHS, 20), (HEIGHTS, 12))
        )
        grid = [a.ravel() for a in np.meshgrid(lengths, heights)]
        for name, values in (
            ("InContext", np.mean(learned)),
            ("exact process, ℓ and s known", exact(kernel, x, y, [length], [height])),
            ("exact process, averaged over ℓ and s", exact(kernel, x, y, *grid)),
        ):
            likelihoods.setdefault(name, []).append(float(values))
    best = np.array(likelihoods["exact process, ℓ and s known"])
    return {
        "log_likelihood": {name: interval(values) for name, values in likelihoods.items()},
        "short_of_the_exact_process": {
            name: interval(best - values) for name, values in likelihoods.items()
        },
        "coverage_90": interval(inside),
    }


def exact(kernel: str, x: Any, y: Any, lengths: Any, heights: Any) -> float:
    """The mean log-likelihood of the queries under processes weighted by the support set."""
    x, y = x.astype(float)[:, 0], y.astype(float)[:, 0]
    lengths, heights = (np.asarray(a, float)[:, None, None] for a in (lengths, heights))
    known = np.asarray(covariance(kernel, x[:, None] - x, lengths, heights))
    known = known + NOISE**2 * np.eye(len(x))
    factor = np.linalg.cholesky(known[:, :SUPPORT, :SUPPORT])
    white = np.linalg.solve(factor, np.broadcast_to(y[:SUPPORT, None], (len(factor), SUPPORT, 1)))
    cross = np.linalg.solve(factor, known[:, :SUPPORT, SUPPORT:])
    mean = np.sum(cross * white, 1)
    variance = np.diagonal(known, axis1=1, axis2=2)[:, SUPPORT:] - np.sum(cross**2, 1)
    evidence = -np.sum(white**2, (1, 2)) / 2
    evidence -= np.sum(np.log(np.diagonal(factor, axis1=1, axis2=2)), 1)
    weights = np.exp(evidence - evidence.max())
    densities = np.exp(-((y[SUPPORT:] - mean) ** 2) / (2 * variance))
    densities /= np.sqrt(2 * math.pi * variance)
    return float(np.mean(np.log(weights / weights.sum() @ densities)))


def make() -> meta_tf.MetaLearner:
    """A transformer that reads the support set, with waves of x as its features."""
    keras.utils.set_random_seed(0)
    body = keras.Sequential([keras.Input([1]), Waves(32, 8.0)])
    algorithm = meta_tf.InContext(width=64, blocks=4, heads=4, answer="gaussian")
    return meta_tf.MetaLearner(body, algorithm, meta_tf.GaussianLoss())


@keras.saving.register_keras_serializable("benchmarks")
class Waves(keras.layers.Layer):
    """Cosines and sines of 2 π n x / period, n = 1 … number. Their products depend on distance."""

    def __init__(self, number: int, period: float, **options: Any):
        super().__init__(**options)
        self.number, self.period = number, period

    def call(self, x: tf.Tensor) -> tf.Tensor:
        angles = x * (2 * math.pi / self.period) * tf.range(1, self.number + 1, dtype=x.dtype)
        return tf.concat([tf.cos(angles), tf.sin(angles)], -1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "number": self.number, "period": self.period}


def _between(limits: tuple[float, float], u: Any) -> Any:
    return limits[0] + (limits[1] - limits[0]) * u


if __name__ == "__main__":
    main()
