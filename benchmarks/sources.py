"""How many episodes per second does each task source generate, relative to training?

    python -m benchmarks.sources [--omniglot DIR]

Reads each source separately on one core; training runs on all cores, from memory. Without
`--omniglot` (the folder of its archives), noise of Omniglot's size replaces it, which uses the
same sampler.
"""

from __future__ import annotations

import argparse

from benchmarks.harness import results, rounds
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS, Work

FORMULAS = ("Sinusoid", "HiddenTeacher", "from_function")
IMAGES = ("from_arrays", "ImageFolder")


def main() -> None:
    parser = results.parser(__doc__, seconds=2, rounds=5)
    parser.add_argument("--omniglot", help="folder of Omniglot's archives")
    options = parser.parse_args()
    images = (*IMAGES, "Omniglot") if options.omniglot else IMAGES
    measured = {}
    for name, sources in (
        ("sinusoid_1_step", FORMULAS),
        ("omniglot_1_query", images),
        ("omniglot_15_queries", images),
    ):
        settings = {s: {"source": s, "data_dir": options.omniglot} for s in sources}
        measured[name] = episodes(WORKS[name], settings, options)
        for source, rate in measured[name].items():
            share = rate / measured[name]["training"]
            print(f"{name:20} {source:14} {rate:12.0f} tasks/s  {share:8.1f} x", flush=True)
    results.save(options.results, "sources", {"works": measured})


def episodes(
    work: Work, settings: dict[str, dict], options: argparse.Namespace
) -> dict[str, float]:
    """Tasks per second of training, and of each source."""
    programs = {"training": ("ours", {}), **{s: ("source_reader", c) for s, c in settings.items()}}
    runners = {}
    try:
        for name, (module, chosen) in programs.items():
            worker = Worker(module, chosen, options.limit)
            worker.build(work)
            runners[name] = rounds.Runner(worker, work, options.seconds, work.per_call)
        rounds.interleave(list(runners.values()), options.rounds)
    finally:
        for runner in runners.values():
            runner.worker.close()
    return {name: runner.rate for name, runner in runners.items()}


if __name__ == "__main__":
    main()
