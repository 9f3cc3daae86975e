"""Does memory stay constant when everything is repeated many times?

    python -m benchmarks.soak [--share 1.0]

In one process: 5 000 new tasks with `adapt` and `predict`, 20 calls of `fit`, 200 of
`meta_tf.evaluate`, 20 exports that are loaded again. Resident memory is read after the first
fiftieth of each kind (one fit, four evaluations) and after the last.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import psutil
import tensorflow as tf

import meta_tf
from benchmarks.harness import results

TIMES = {"adapt, predict": 5000, "fit": 20, "evaluate": 200, "export, load": 20}


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the repetitions to run")
    options = parser.parse_args()
    source = meta_tf.tasks.Sinusoid(shots=10)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(0.01), loss="mse")
    learner.compile("adam", steps_per_execution=10)
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, work in _works(learner, source, folder).items():
            times = max(2, round(options.share * TIMES[name]))
            measured[name] = _growth(work, times)
            early, late = (measured[name][k] for k in ("early", "late"))
            print(f"{name:15} x {times}: {early:.1f} MB, then {late:.1f} MB: {late / early:.4f} x")
    results.save(options.results, "soak", {"megabytes": measured})


def _works(learner: meta_tf.MetaLearner, source: meta_tf.tasks.Source, folder: str) -> dict:
    x = np.linspace(-5, 5, 10, dtype="float32")[:, None]

    def export_and_load() -> None:
        learner.export(f"{folder}/learner")
        tf.saved_model.load(f"{folder}/learner")

    return {
        "adapt, predict": lambda: learner.adapt(x, np.sin(x)).predict(x, verbose=0),
        "fit": lambda: learner.fit(source.train.batches(5), steps_per_epoch=20, verbose=0),
        "evaluate": lambda: meta_tf.evaluate(learner, source.test, tasks_number=20),
        "export, load": export_and_load,
    }


def _growth(work: Callable[[], object], times: int) -> dict[str, float]:
    """Resident megabytes after a fiftieth of the work, and after all of it."""
    soon, early = max(1, times // 50), 0.0
    for i in range(1, times + 1):
        work()
        if i == soon:
            early = _resident()
    return {"times": times, "early": early, "late": _resident()}


def _resident() -> float:
    gc.collect()  # Keras models have reference cycles
    return psutil.Process().memory_info().rss / 2**20


if __name__ == "__main__":
    main()
