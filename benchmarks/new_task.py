"""How long does a new task take, from its pictures to predictions?

    python -m benchmarks.new_task [--seconds 3] [--rounds 7]

A 5-way 1-shot task, conv4, 5 inner steps without second derivatives, five pictures to classify,
written as a user would in each library. *Cold* is the first task in a new process, including
tracing and compilation; *warm* is the median of the following ones. Also measures tasks in
batches of 32, in milliseconds per task.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from typing import Any

from benchmarks.harness import results
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS

WORK = dataclasses.replace(WORKS["omniglot_5_steps"], queries=1)
BATCH = 32
ADAPT, LEARNER, SAVED = "adapt, predict", "learner.predict_on_batch", "the SavedModel"
OURS = {
    ADAPT: ("ours", {"served_by": "adapt"}),
    LEARNER: ("ours", {"served_by": "learner"}),
    SAVED: ("ours", {"served_by": "saved_model"}),
}
PEERS = {
    **{f"PyTorch, {n} threads": ("torch_loop", {"threads": n}) for n in (1, 2)},
    "JAX": ("jax_peer", {"tasks": "map", "im2col": False}),
    "JAX, matrix products": ("jax_peer", {"tasks": "map", "im2col": True}),
}


def main() -> None:
    options = results.parser(__doc__).parse_args()
    one = measure(OURS | PEERS, 1, options)
    many = measure({n: c for n, c in (OURS | PEERS).items() if n != ADAPT}, BATCH, options)
    best = min(one["warm"][name] for name in PEERS)
    for name in OURS:
        print(f"{name}: {best / one['warm'][name]:.2f} x as fast as the best peer, warm")
    results.save(options.results, "new_task", {"one": one, "batch": many})


def measure(contenders: dict[str, tuple[str, dict]], tasks: int, options: Any) -> dict:
    """`{"cold": {name: ms}, "warm": {name: ms}}`, milliseconds per task, measured in turn."""
    workers: dict[str, Worker] = {}
    cold, times = {}, {}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    try:
        for name, (module, settings) in contenders.items():
            workers[name] = Worker(module, {**settings, "serve": tasks}, options.limit)
            workers[name].build(WORK)
            cold[name] = 1000 * workers[name].ask("new_task", times=1)["seconds"][0] / tasks
            workers[name].ask("new_task", times=3)  # warm up
            once = statistics.median(workers[name].ask("new_task", times=3)["seconds"])
            times[name] = max(3, round(options.seconds / once))
        for _ in range(options.rounds):
            for name, worker in workers.items():
                time.sleep(0.3)  # so that idle threads sleep
                answer = worker.ask("new_task", times=times[name])
                seconds[name].append(statistics.median(answer["seconds"]))
    finally:
        for worker in workers.values():
            worker.close()
    warm = {name: 1000 * statistics.median(values) / tasks for name, values in seconds.items()}
    for name, value in warm.items():
        print(
            f"{tasks:3} {name:26} {value:8.2f} ms a task, the first {cold[name]:8.0f}", flush=True
        )
    return {"cold": cold, "warm": warm}


if __name__ == "__main__":
    main()
