"""What do two workers gain over one, and what would more workers gain on a network?

    python -m benchmarks.workers_scale

Uses Omniglot's conv4, with each process pinned to its own core. `one`: a process with T tasks per
step; `double`: with 2 T. `apart`: two independent processes at the same time, with T each.
`together`: two workers that share 2 T. The extra time of `apart` over `one` is due to the machine,
whose cores share memory and cache. The extra time of `together` over `apart` is due to
communication, and to the workers waiting for each other.

Then predicts, with the formula in docs/several-machines.md, the efficiency of more workers on a
network of 10 Gb/s: from the step time of two workers, the counted bytes and sums per step, and
the separately measured time per hop.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
from typing import Any

from benchmarks.harness import results
from benchmarks.harness.addresses import free_addresses
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS, Work

NETWORK = 10e9 / 8  # bytes per second
PREDICTED = (2, 8, 64)


def main() -> None:
    parser = results.parser(__doc__, seconds=10)
    parser.add_argument("--tasks", type=int, default=16, help="T, of a worker")
    parser.add_argument("--work", default="omniglot_15_queries", choices=list(WORKS))
    options = parser.parse_args()
    one = dataclasses.replace(WORKS[options.work], tasks=options.tasks)
    double = dataclasses.replace(one, tasks=2 * options.tasks)
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("Two workers need two cores.")
    pinned = [{"core": core} for core in cores]
    addresses = free_addresses(2)
    clustered = [{**p, "cluster": addresses, "index": i} for i, p in enumerate(pinned)]
    teams = {
        "one": Team(one, pinned[:1], options.limit),
        "double": Team(double, pinned[:1], options.limit),
        "apart": Team(one, pinned, options.limit),
        "together": Team(double, clustered, options.limit),
    }
    try:
        measured = measure(teams, options.seconds, options.rounds)
        sent = teams["together"].ask("communication")[0]
    finally:
        for team in teams.values():
            team.close()
    values = {**told(measured, sent), "tasks": options.tasks, "work": options.work}
    for name, value in values.items():
        print(f"{name:24} {value}")
    results.save(options.results, "workers_scale", values)


class Team:
    """Processes that run at the same time."""

    def __init__(self, work: Work, settings: list[dict[str, Any]], limit: float):
        self.workers = [Worker("ours_pinned", each, limit) for each in settings]
        self.ask("build", work=dataclasses.asdict(work))

    def ask(self, do: str, **arguments: Any) -> list[dict[str, Any]]:
        for worker in self.workers:
            worker.tell(do, **arguments)
        return [worker.answer(do) for worker in self.workers]

    def step_seconds(self, steps: int) -> float:
        return max(answer["seconds"] for answer in self.ask("run", steps=steps)) / steps

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


def measure(teams: dict[str, Team], seconds: float, rounds: int) -> dict[str, list[float]]:
    """Seconds per step, for every team in turn, round after round."""
    steps = {}
    for name, team in teams.items():
        team.step_seconds(2)  # traces
        steps[name] = max(2, round(seconds / team.step_seconds(2)))
    measured: dict[str, list[float]] = {name: [] for name in teams}
    for _ in range(rounds):
        for name, team in teams.items():
            measured[name].append(team.step_seconds(steps[name]))
    return measured


def told(measured: dict[str, list[float]], sent: dict[str, float]) -> dict[str, Any]:
    """The efficiencies, measured and predicted."""
    step = {name: statistics.median(values) for name, values in measured.items()}
    hops = 2 * sent["collectives"] * sent["hop"]  # 2 (W - 1) hops in turn, for each sum
    apart_from_hops = step["together"] - hops
    return {
        "step_seconds": step,
        "rounds": measured,
        "efficiency, twice the tasks": step["one"] / step["together"],
        "efficiency, same tasks": step["double"] / (2 * step["together"]),
        "efficiency of the machine": step["one"] / step["apart"],
        "efficiency of working together": step["apart"] / step["together"],
        "sums of a step": sent["collectives"],
        "bytes of a step": sent["bytes"],
        "seconds of a hop": sent["hop"],
        "share of hops": hops / step["together"],
        "predicted, T tasks a worker": {
            workers: predicted(step["one"], apart_from_hops, sent, workers) for workers in PREDICTED
        },
    }


def predicted(one: float, works: float, sent: dict[str, float], workers: int) -> float:
    """The efficiency of several machines, each with as many tasks as the single machine.

    A ring of W workers sends each number 2 (W - 1) times, 1 / W of all numbers at a time. Without
    communication, a step takes `works` seconds; on one machine alone, `one` seconds.
    """
    turns = 2 * (workers - 1)
    sends = turns / workers * sent["bytes"] / NETWORK + turns * sent["collectives"] * sent["hop"]
    return one / (works + sends)


if __name__ == "__main__":
    main()
