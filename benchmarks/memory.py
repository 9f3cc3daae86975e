"""How does peak memory grow with inner steps, and with tasks?

    python -m benchmarks.memory

Measures the peak resident memory of a new process that runs two second-order steps, in
megabytes, including all libraries; `before` is the memory before the first step.
"""

from __future__ import annotations

import dataclasses

from benchmarks.harness import results
from benchmarks.harness.workers import TooSlowError, Worker, WorkerFailedError
from benchmarks.harness.workloads import WORKS, Work

STEPS = (5, 10, 25, 50, 100)
TASKS = (32, 64, 128, 256)
CONTENDERS = {"meta_tf": ("ours", {}), "torch loop": ("torch_loop", {"threads": 2})}


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--steps", nargs="*", type=int, default=STEPS)
    parser.add_argument("--tasks", nargs="*", type=int, default=TASKS)
    options = parser.parse_args()
    # A small learning rate, so that a hundred steps stay finite.
    base = dataclasses.replace(WORKS["omniglot_15_queries"], inner_lr=0.01, per_call=1)
    measured: dict[str, dict] = {"inner_steps": {}, "tasks": {}}
    for name, (module, settings) in CONTENDERS.items():
        of_steps = measured["inner_steps"][name] = {}
        for steps in options.steps:
            work = dataclasses.replace(base, tasks=4, inner_steps=steps)
            of_steps[steps] = peak(module, settings, work, options.limit)
            print(f"{name:12} {steps:4} inner steps   {of_steps[steps]}", flush=True)
        of_tasks = measured["tasks"][name] = {}
        for tasks in options.tasks:
            work = dataclasses.replace(base, tasks=tasks)
            of_tasks[tasks] = peak(module, settings, work, options.limit)
            print(f"{name:12} {tasks:4} tasks         {of_tasks[tasks]}", flush=True)
    results.save(options.results, "memory", measured)


def peak(module: str, settings: dict, work: Work, limit: float) -> dict:
    """Megabytes before and after two steps, in a separate process."""
    with Worker(module, settings, limit) as worker:
        try:
            worker.build(work)
            before = worker.ask("peak")["megabytes"]
            worker.ask("run", steps=2)
            return {"before": round(before), "peak": round(worker.ask("peak")["megabytes"])}
        except (TooSlowError, WorkerFailedError) as error:
            return {"failed": str(error).splitlines()[-1]}


if __name__ == "__main__":
    main()
