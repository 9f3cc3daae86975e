"""Interleaved measurement: all processes stay alive, one runs at a time; medians over rounds."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.harness.contenders import Contender
from benchmarks.harness.workers import TooSlowError, Worker, WorkerFailedError
from benchmarks.harness.workloads import Work

PAUSE = 0.3  # seconds between two measurements, so that idle threads sleep


class Runner:
    """A warm worker and the number of steps per measurement."""

    def __init__(self, worker: Worker, work: Work, seconds: float, multiple: int = 1):
        self.worker, self.work = worker, work
        self.rates: list[float] = []
        self.failed: str | None = None
        worker.ask("run", steps=multiple)  # trace and compile
        once = worker.ask("run", steps=multiple)["seconds"]
        if once < seconds / 3:  # too short to measure
            some = max(1, int(seconds / 3 / once))
            once = worker.ask("run", steps=multiple * some)["seconds"] / some
        self.steps = multiple * max(1, round(seconds / once))
        self.step_seconds = once / multiple

    def measure(self) -> None:
        """One round: tasks per second. A worker that failed is not used again."""
        if self.failed:
            return
        time.sleep(PAUSE)
        try:
            result = self.worker.ask("run", steps=self.steps)
        except (TooSlowError, WorkerFailedError) as error:
            self.failed = str(error)
            print(f"    {self.worker.module} {self.worker.settings} failed: {error}", flush=True)
            return
        self.rates.append(self.work.tasks * result["steps"] / result["seconds"])

    @property
    def rate(self) -> float:
        """The median over the rounds, in tasks per second; None if it failed."""
        return 0.0 if self.failed else statistics.median(self.rates)


def start(
    contender: Contender, work: Work, seconds: float, limit: float
) -> tuple[Runner | None, list[dict[str, Any]]]:
    """Starts a contender in each of its settings, and keeps the fastest.

    Returns:
      The runner, or None if no setting was ready in time; and the result of each setting.
    """
    best, seen = None, []
    for settings in contender.settings:
        worker = Worker(contender.module, settings, limit)
        try:
            worker.build(work)
            runner = Runner(worker, work, seconds, contender.multiple)
        except (TooSlowError, WorkerFailedError) as error:
            worker.close()
            slow = isinstance(error, TooSlowError)
            seen.append({"settings": settings, "too_slow" if slow else "failed": str(error)})
        else:
            seen.append({"settings": settings, "step_seconds": runner.step_seconds})
            if best is None or runner.step_seconds < best.step_seconds:
                best, runner = runner, best
            if runner is not None:
                runner.worker.close()
        print(f"    {contender.name}: {_told(seen[-1], work)}", flush=True)
    return best, seen


def interleave(runners: list[Runner], rounds: int) -> None:
    """Measures all in turn, in a different order each round."""
    for r in range(rounds):
        for runner in runners[r % len(runners) :] + runners[: r % len(runners)]:
            runner.measure()


def _told(seen: dict[str, Any], work: Work) -> str:
    if "step_seconds" in seen:
        return f"{work.tasks / seen['step_seconds']:.1f} tasks/s with {seen['settings']}"
    if "too_slow" in seen:
        return f"too slow with {seen['settings']}: {seen['too_slow']}"
    return f"failed with {seen['settings']}: {seen['failed'].splitlines()[-1:]}"
