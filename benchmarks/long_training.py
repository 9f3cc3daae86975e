"""Trains a learner in the background: saves as it goes, and continues where it stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

WARM_UP = 200  # steps from a rate of 0 to the full one
DECAY = 0.4  # the last fraction of the steps, in which the rate falls to 0


def train(
    make: Callable[[], Any],
    part: Any,
    folder: str | Path,
    *,
    steps: int,
    tasks: int,
    rate: float = 1e-3,
    every: int = 500,
    per_call: int = 20,
    quiet: bool = False,
) -> Any:
    """The learner after `steps` steps of Adam.

    The rate is constant and falls to 0 over the last steps, so a run can be made longer or shorter
    while it trains: stop it, and start it again with other `steps`.

    Args:
      make: builds the learner.
      part: the tasks to learn from.
      folder: holds `learner.keras` and `progress.jsonl`.
      steps: the steps in all.
      tasks: tasks of a step.
      rate: Adam's rate.
      every: steps between two saves, a multiple of `per_call`.
      per_call: steps in one call into TensorFlow; `steps` is a multiple of it.
      quiet: whether to print nothing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    saved, progress = folder / "learner.keras", folder / "progress.jsonl"
    if saved.exists():
        learner = keras.models.load_model(saved)
        learner.optimizer.learning_rate = Schedule(rate, steps)
    else:
        learner = make()
        learner.compile(keras.optimizers.Adam(Schedule(rate, steps), global_clipnorm=1.0))
    learner.steps_per_execution = per_call
    while (done := int(learner.optimizer.iterations)) < steps:
        now = min(every, steps - done)
        seconds = time.process_time()
        history = learner.fit(part.batches(tasks, start=done), steps_per_epoch=now, verbose=0)
        row = {"step": done + now, "loss": history.history["loss"][0]}
        row["cpu_seconds"] = round(time.process_time() - seconds, 1)
        learner.save(folder / "next.keras")
        os.replace(folder / "next.keras", saved)
        with progress.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if not quiet:
            print(row, flush=True)
    return learner


def cpu_seconds(folder: str | Path) -> float:
    """The processor time of a training so far."""
    rows = (Path(folder) / "progress.jsonl").read_text().splitlines()
    return round(sum(json.loads(row)["cpu_seconds"] for row in rows), 1)


@keras.saving.register_keras_serializable("benchmarks")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warms up, stays constant, and falls linearly to 0 at the end."""

    def __init__(self, rate: float, steps: int):
        self.rate, self.steps = rate, steps

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        left = (self.steps - step) / (DECAY * self.steps)
        shape = keras.ops.minimum(keras.ops.minimum((step + 1) / WARM_UP, 1.0), left)
        return self.rate * keras.ops.maximum(shape, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "steps": self.steps}
