"""The controlling side of `worker`: starts workers, sends commands, closes slow ones."""

from __future__ import annotations

import dataclasses
import json
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.workloads import Work

ROOT = Path(__file__).resolve().parents[2]


class TooSlowError(Exception):
    """A worker did not answer in time."""


class WorkerFailedError(Exception):
    """A worker's process ended instead of answering."""


class Worker:
    """One contender in its own process; idle between commands.

    Args:
      module: a module of this package with `build(work, settings)`.
      settings: its configuration.
      limit: default time limit of a command, in seconds.
    """

    def __init__(self, module: str, settings: dict[str, Any], limit: float):
        self.module, self.settings, self.limit = module, settings, limit
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", module, json.dumps(settings)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, *, limit: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer.

        Raises:
          TooSlowError: if there is no answer in time; the worker is then closed.
          WorkerFailedError: if the process has ended.
        """
        self.tell(do, **arguments)
        return self.answer(do, limit)

    def tell(self, do: str, **arguments: Any) -> None:
        """Sends a command; call `answer` later to wait for the answer."""
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise WorkerFailedError(self._last_words()) from None

    def answer(self, do: str, limit: float | None = None) -> dict[str, Any]:
        """Waits for the answer to the last command."""
        limit = self.limit if limit is None else limit
        answers = self._process.stdout
        assert answers  # a pipe, as requested
        ready, _, _ = select.select([answers], [], [], limit)
        if not ready:
            self.close()
            raise TooSlowError(f"{do} took more than {limit:.0f} s")
        line = answers.readline()
        if not line:
            raise WorkerFailedError(self._last_words())
        return json.loads(line)

    def build(self, work: Work) -> dict[str, Any]:
        return self.ask("build", work=dataclasses.asdict(work))

    def agree(self) -> tuple[float, list[np.ndarray]]:
        """The first step's loss and meta-gradients."""
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/gradients.npz"
            loss = self.ask("agree", path=path)["loss"]
            with np.load(path) as gradients:
                return loss, [gradients[f"arr_{i}"] for i in range(len(gradients.files))]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return "\n".join([*lines[-15:], f"The process ended with code {code}."])
