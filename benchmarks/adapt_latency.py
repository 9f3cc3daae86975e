"""How long does learning one new task take, warm?

    python -m benchmarks.adapt_latency

A 5-way 1-shot task, conv4, 5 inner steps, without second derivatives: here
`MetaLearner.adapt`, which also makes the new Keras model; in PyTorch the adapted weights.
"""

from __future__ import annotations

import statistics

from benchmarks.harness import results
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS

CONTENDERS = {
    "meta_tf": ("ours", {}),
    "PyTorch, 1 thread": ("torch_loop", {"threads": 1}),
    "PyTorch, 2 threads": ("torch_loop", {"threads": 2}),
}


def main() -> None:
    options = results.parser(__doc__).parse_args()
    workers, times = {}, {}
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    try:
        for name, (module, settings) in CONTENDERS.items():
            workers[name] = Worker(module, settings, options.limit)
            workers[name].build(WORKS["omniglot_5_steps"])
            workers[name].ask("adapt", times=3)  # trace, compile, warm up
            once = statistics.median(workers[name].ask("adapt", times=3)["seconds"])
            times[name] = max(3, round(options.seconds / once))
        for _ in range(options.rounds):
            for name, worker in workers.items():
                answer = worker.ask("adapt", times=times[name])
                seconds[name].append(statistics.median(answer["seconds"]))
    finally:
        for worker in workers.values():
            worker.close()
    medians = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"{name:20} {value:8.2f} ms")
    best = min(value for name, value in medians.items() if name != "meta_tf")
    print(f"meta_tf: {best / medians['meta_tf']:.2f} x as fast as PyTorch")
    results.save(options.results, "adapt_latency", {"milliseconds": medians})


if __name__ == "__main__":
    main()
