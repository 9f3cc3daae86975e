"""`Training`: how a training runs, whatever it trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, NamedTuple


class AtLeast(NamedTuple):
    """The lower bound of an annotation, `Annotated[int, AtLeast(1)]`."""

    value: int


class Above(NamedTuple):
    """The same, the bound itself excluded."""

    value: float


Count = Annotated[int, AtLeast(1)]
Seed = Annotated[int, AtLeast(0)]
Device = Literal["auto", "cpu", "gpu"]


@dataclasses.dataclass(frozen=True)
class Training:
    """How a training runs: its folder, devices, checkpoints and outer loop.

    Each field is a flag of `meta-tf train`, with the same name, default and description.

    Args:
      workdir: the run's folder; `runs/PRESET` unless given.
      seed: of the initial weights and of the tasks.
      device: where to compute; `"auto"` is a GPU if there is one.
      strategy: what shares the tasks of a step: all GPUs of this machine (mirrored), or the
        workers that the environment variable TF_CONFIG names (multi_worker).
      logical_devices: into how many devices to divide the CPU, to try `strategy="mirrored"`
        without GPUs.
      worker_timeout: seconds without an answer after which a worker counts as lost, and the run
        ends.
      precision: the numbers to compute with; weights are float32 in any case.
      checkpoint_every: outer steps between checkpoints.
      keep_checkpoints: how many of the last checkpoints to keep.
      restart_from: go on from the checkpoint of this iteration and drop later ones: with another
        `inner_lr`, `meta_lr` or `clip_norm`, say, after a training that diverged.
      restart: begin at step 0 again; removes the folder's checkpoints.
      eval_tasks: new tasks for the evaluation.
      baselines: also measure what the support set gives without meta-learning, on the same tasks.
      profile: write a TensorBoard profile of the 3rd to 5th call.
      meta_lr: the step size of the outer loop (Adam; SGD for Reptile).
      meta_schedule: how `meta_lr` changes until the last iteration.
      clip_norm: the largest norm of the meta-gradient; any if None.
      meta_batch_size: tasks in an outer step.
      iterations: outer steps.
      steps_per_execution: outer steps in one call into TensorFlow.
    """

    workdir: str | Path = "runs"
    seed: Seed = 0
    device: Device = "auto"
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    logical_devices: Annotated[int, AtLeast(2)] | None = None
    worker_timeout: Count = 120
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    checkpoint_every: Count = 1000
    keep_checkpoints: Count = 2
    restart_from: Count | None = None
    restart: bool = False
    eval_tasks: Annotated[int, AtLeast(2)] = 600
    baselines: bool = True
    profile: bool = False
    meta_lr: Annotated[float, Above(0)] = 0.001
    meta_schedule: Literal["constant", "cosine", "linear"] = "constant"
    clip_norm: Annotated[float, Above(0)] | None = None
    meta_batch_size: Count = 25
    iterations: Count = 1000
    steps_per_execution: Count = 1
