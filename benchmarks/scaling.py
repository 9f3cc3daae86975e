"""How does throughput change with more tasks and ways?

    python -m benchmarks.scaling

Keeps all sizes warm, each in its own process, and measures them in turn.
"""

from __future__ import annotations

import dataclasses

from benchmarks.harness import results, rounds
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS, Work

TASKS = (1, 4, 16, 32, 64, 128, 256)
WAYS = (2, 5, 10, 20, 50)


def main() -> None:
    parser = results.parser(__doc__, rounds=5)
    options = parser.parse_args()
    omniglot, sinusoid = WORKS["omniglot_15_queries"], WORKS["sinusoid_1_step"]
    series = {
        "omniglot, tasks": {t: dataclasses.replace(omniglot, tasks=t, per_call=1) for t in TASKS},
        "omniglot, ways": {n: dataclasses.replace(omniglot, ways=n, per_call=1) for n in WAYS},
        "sinusoid, tasks": {t: dataclasses.replace(sinusoid, tasks=t) for t in TASKS},
    }
    measured = {}
    for name, works in series.items():
        measured[name] = throughput(works, options.seconds, options.rounds, options.limit)
        for size, rate in measured[name].items():
            print(f"{name:18} {size:4}   {rate:10.1f} tasks/s", flush=True)
    results.save(options.results, "scaling", {"works": measured})


def throughput(works: dict[int, Work], seconds: float, count: int, limit: float) -> dict:
    """Tasks per second for every size."""
    runners = {}
    try:
        for size, work in works.items():
            worker = Worker("ours", {}, limit)
            worker.build(work)
            runners[size] = rounds.Runner(worker, work, seconds, work.per_call)
        rounds.interleave(list(runners.values()), count)
    finally:
        for runner in runners.values():
            runner.worker.close()
    return {size: runner.rate for size, runner in runners.items()}


if __name__ == "__main__":
    main()
