"""A process that runs one contender and executes commands, line by line.

    python -m benchmarks.harness.worker ours '{"source": true}'

Reads one JSON object per line from standard input, and writes one per line to standard output.
So the libraries of different contenders never share a process or a thread pool.
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
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    held = Held(module, settings)
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        print(json.dumps(getattr(held, name)(**command)), file=answers, flush=True)


class Held:
    """The contender and its commands; each returns its answer."""

    def __init__(self, module: str, settings: dict):
        self.module, self.settings = module, settings
        self.contender: Any = None

    def build(self, work: dict) -> dict:
        """Imports the library and builds the network and the data."""
        start = time.perf_counter()
        module = importlib.import_module(f"benchmarks.programs.{self.module}")
        self.contender = module.build(Work(**work), self.settings)
        return {"seconds": time.perf_counter() - start}

    def run(self, steps: int) -> dict:
        """Runs and times outer steps."""
        start = time.perf_counter()
        self.contender.run(steps)
        return {"steps": steps, "seconds": time.perf_counter() - start}

    def new_task(self, times: int) -> dict:
        """Runs new tasks, or batches of them, one after another, and times each."""
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            self.contender.new_task()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds}

    def profile(self, steps: int, folder: str) -> dict:
        """Writes a trace of outer steps."""
        self.contender.profile(steps, folder)
        return {}

    def flops(self) -> dict:
        """Floating-point operations of the products in one outer step, counted in the graph."""
        return {"flops": self.contender.flops()}

    def communication(self) -> dict:
        """The data that a step sends to other workers."""
        return self.contender.communication()

    def agree(self, path: str) -> dict:
        """The first step's loss and, in a file, its meta-gradients."""
        loss, gradients = self.contender.agree()
        np.savez(path, *gradients)
        return {"loss": loss}

    def peak(self) -> dict:
        """This process's peak resident memory so far, in megabytes."""
        return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    main()
