"""What fraction of the machine's matrix-product peak does a training step reach?

    python -m benchmarks.peak

The peak is the highest rate of any way of multiplying square matrices on this machine: TensorFlow
or PyTorch, several sizes, one process on all cores or one single-threaded process per core. It is
measured in turn with training. `harness/flops.py` derives the step's operations; the script also
prints the count in the traced graph.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time

from benchmarks.harness import flops, results, rounds
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS, Work

SIZES = (512, 1024, 2048)
TRAINED = ("omniglot_15_queries", "omniglot_5_steps")


def main() -> None:
    options = results.parser(__doc__, seconds=2, rounds=5).parse_args()
    cores = os.cpu_count() or 1
    ways = [
        (library, size, processes, cores // processes)
        for library, size, processes in itertools.product(("tf", "torch"), SIZES, (1, cores))
    ]
    short = options.seconds / 4
    seen = {way: products_rate(way, short, 2, options.limit) for way in ways}
    for way, rate in seen.items():
        print(f"{way[0]:6} {way[1]:5} x {way[1]:<5} {way[2]} processes of {way[3]} threads: "
              f"{rate / 1e9:6.1f} GFLOP/s", flush=True)  # fmt: skip
    best = max(seen, key=lambda way: seen[way])
    measured = {}
    for name in TRAINED:
        measured[name] = fraction(WORKS[name], best, options)
        print(f"{name}: {measured[name]}", flush=True)
    results.save(options.results, "peak", {"best": list(best), "works": measured})


def fraction(work: Work, way: tuple, options: argparse.Namespace) -> dict:
    """Alternating rounds of matrix products and of training."""
    peaks, derived = [], flops.derived(work)
    with Worker("ours", {}, options.limit) as worker:
        worker.build(work)
        in_graph = worker.ask("flops")["flops"]
        runner = rounds.Runner(worker, work, options.seconds, work.per_call)
        for _ in range(options.rounds):
            runner.measure()
            peaks.append(products_rate(way, options.seconds, 1, options.limit))
    peak, reached = statistics.median(peaks), runner.rate / work.tasks * derived
    return {
        "gflop_a_step": round(derived / 1e9, 3),
        "gflop_a_step_in_graph": round(in_graph / 1e9, 3),
        "peak_gflops": round(peak / 1e9, 1),
        "reached_gflops": round(reached / 1e9, 1),
        "fraction": round(reached / peak, 3),
    }


def products_rate(way: tuple, seconds: float, rounds_: int, limit: float) -> float:
    """Operations per second of matrix products, all processes together."""
    library, size, processes, threads = way
    settings = {"library": library, "size": size, "threads": threads}
    workers = [Worker("matmul_loop", settings, limit) for _ in range(processes)]
    try:
        for worker in workers:
            worker.build(WORKS["omniglot_15_queries"])
            worker.ask("run", steps=2)
        once = max(worker.ask("run", steps=3)["seconds"] / 3 for worker in workers)
        steps = max(1, round(seconds / once))
        rates = []
        for _ in range(rounds_):
            time.sleep(rounds.PAUSE)
            for worker in workers:
                worker.tell("run", steps=steps)
            slowest = max(worker.answer("run")["seconds"] for worker in workers)
            rates.append(2 * size**3 * steps * processes / slowest)
        return max(rates)
    finally:
        for worker in workers:
            worker.close()


if __name__ == "__main__":
    main()
