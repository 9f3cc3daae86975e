"""meta_tf on one core, alone or as one of several workers; has the interface of `programs`.

`core`: the only core that the process may use. `cluster`: the addresses of all workers.
`index`: this worker's index among them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from benchmarks.harness.workloads import Work
from benchmarks.programs import ours
from meta_tf.run.devices import set_up_device

_HOPS = 101


def build(work: Work, settings: dict) -> Pinned:
    os.sched_setaffinity(0, {settings["core"]})
    set_up_device("cpu", share_operations=work.network == "mlp")
    with _strategy(settings).scope():
        fit = ours.Fit(dataclasses.replace(work, per_call=1), settings)
    return Pinned(fit)


def _strategy(settings: dict) -> tf.distribute.Strategy:
    if "cluster" not in settings:
        return tf.distribute.get_strategy()
    task = {"type": "worker", "index": settings["index"]}
    config = {"cluster": {"worker": settings["cluster"]}, "task": task}
    os.environ["TF_CONFIG"] = json.dumps(config)
    return tf.distribute.MultiWorkerMirroredStrategy()


class Pinned:
    """`fit` for a number of steps, and the data that a step sends to the other workers."""

    def __init__(self, fit: ours.Fit):
        self._fit = fit

    def run(self, steps: int) -> None:
        self._fit.run(steps)

    def communication(self) -> dict[str, float]:
        """The number of sums over workers in a step, their bytes, and the seconds per hop.

        The first two are found by tracing a step again.
        """
        learner = self._fit.learner
        strategy = learner.distribute_strategy
        found: list[Any] = []
        with _noting_collectives(found):
            batch = next(iter(strategy.experimental_distribute_dataset(self._fit.batches)))
            tf.function(
                lambda: strategy.run(learner.train_step, args=(batch,)), autograph=False
            ).get_concrete_function()
        return {"collectives": len(found), "bytes": sum(found), "hop": _hop_seconds(strategy)}


def _hop_seconds(strategy: tf.distribute.Strategy) -> float:
    """Half of the time that two workers take to sum one number."""

    def own() -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.ones([1]))

    add_up = tf.function(lambda: strategy.run(own), autograph=False)
    seconds = []
    for _ in range(_HOPS):
        start = time.perf_counter()
        add_up()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) / 2


@contextlib.contextmanager
def _noting_collectives(found: list[int]) -> Iterator[None]:
    """Records the bytes of every sum over workers that is traced inside the `with`."""
    from tensorflow.python.distribute import cross_device_utils

    launcher = cross_device_utils.CollectiveReplicaLauncher
    all_reduce = launcher.all_reduce

    def noting(self: Any, tensor: tf.Tensor, *args: Any, **options: Any) -> tf.Tensor:
        found.append((tensor.shape.num_elements() or 0) * tensor.dtype.size)
        return all_reduce(self, tensor, *args, **options)

    launcher.all_reduce = noting
    try:
        yield
    finally:
        launcher.all_reduce = all_reduce
