"""How long does a new process take until the first step is done?

    python -m benchmarks.first_step [--works omniglot_5_steps] [--rounds 3]

Starts a new process each time. `build` is the import and the construction of network and data;
`first` is only the first step: tracing, compiling and running it.
"""

from __future__ import annotations

import dataclasses
import statistics

from benchmarks.harness import results
from benchmarks.harness.contenders import JAX, OURS, OURS_GENERATING, contenders
from benchmarks.harness.workers import TooSlowError, Worker
from benchmarks.harness.workloads import WORKS, Work


def main() -> None:
    parser = results.parser(__doc__, rounds=3)
    parser.add_argument("--works", nargs="*", default=list(WORKS), choices=list(WORKS))
    options = parser.parse_args()
    measured: dict[str, dict] = {}
    for name in options.works:
        work = dataclasses.replace(WORKS[name], per_call=1)
        measured[name] = {}
        for contender in contenders(work):
            if contender.multiple > 1 or contender.name == OURS_GENERATING:
                continue
            if contender.name not in (OURS, JAX) and name != "omniglot_5_steps":
                continue  # JAX always compiles; the others are measured once, for comparison
            one = first_step(
                contender.module, contender.settings[0], work, options.rounds, options.limit
            )
            measured[name][contender.name] = one
            print(f"{name:22} {contender.name:18} {one}", flush=True)
    results.save(options.results, "first_step", {"works": measured})


def first_step(module: str, settings: dict, work: Work, rounds: int, limit: float) -> dict:
    """Median seconds for building and for the first step."""
    builds, firsts = [], []
    for _ in range(rounds):
        with Worker(module, settings, limit) as worker:
            try:
                builds.append(worker.build(work)["seconds"])
                firsts.append(worker.ask("run", steps=1)["seconds"])
            except TooSlowError:
                return {"too_slow": limit}
    return {
        "build": round(statistics.median(builds), 2),
        "first": round(statistics.median(firsts), 2),
    }


if __name__ == "__main__":
    main()
