"""A process that holds one contender and does what it is told, line by line.

    python -m benchmarks.harness.worker ours '{"source": true}'

One JSON object a line on standard input; one a line back on standard output. Libraries
of different contenders thus never share a process, nor their pools of threads.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np

from benchmarks.harness.workloads import Work


def main() -> None:
    module, settings = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    held = Held(module, settings)
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        print(json.dumps(getattr(held, name)(**command)), file=answers, flush=True)


class Held:
    """The contender and its commands; each returns what is answered."""

    def __init__(self, module: str, settings: dict):
        self.module, self.settings = module, settings
        self.contender: Any = None

    def build(self, work: dict) -> dict:
        """Imports the library and makes network and data."""
        start = time.perf_counter()
        module = importlib.import_module(f"benchmarks.programs.{self.module}")
        self.contender = module.build(Work(**work), self.settings)
        return {"seconds": time.perf_counter() - start}

    def run(self, steps: int) -> dict:
        """So many outer steps, timed."""
        start = time.perf_counter()
        self.contender.run(steps)
        return {"steps": steps, "seconds": time.perf_counter() - start}

    def new_task(self, times: int) -> dict:
        """So many new tasks, or batches of them, one after another, timed each."""
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            self.contender.new_task()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def profile(self, steps: int, folder: str) -> dict:
        """Writes a trace of so many outer steps."""
        self.contender.profile(steps, folder)
        return {}

    def flops(self) -> dict:
        """Floating-point operations of one outer step's products, counted in the graph."""
        return {"flops": self.contender.flops()}

    def communication(self) -> dict:
        """What a step sends to other workers."""
        return self.contender.communication()

    def agree(self, path: str) -> dict:
        """The first step's loss and, in a file, its meta-gradients."""
        loss, gradients = self.contender.agree()
        np.savez(path, *gradients)
        return {"loss": loss}

    def peak(self) -> dict:
        """The peak of this process's resident memory so far, in megabytes."""
        return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    main()
