"""`Training`: the settings of a run, whatever it trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal, NamedTuple


class AtLeast(NamedTuple):
    """The lower bound of an annotation, `Annotated[int, AtLeast(1)]`."""

    value: int


class Above(NamedTuple):
    """The exclusive lower bound of an annotation, `Annotated[float, Above(0)]`."""

    value: float


Count = Annotated[int, AtLeast(1)]
Seed = Annotated[int, AtLeast(0)]
Device = Literal["auto", "cpu", "gpu"]


@dataclasses.dataclass(frozen=True)
class Training:
    """The settings of a run: its folder, devices, checkpoints and outer loop.

    Each field is a flag of `meta-tf train` with the same name, default and description.

    Args:
      workdir: the run's folder; `runs/PRESET` if not given.
      seed: the seed of the initial weights and of the tasks.
      device: where to compute; `"auto"` uses a GPU if there is one.
      strategy: which devices share the tasks of a step: all GPUs of this machine (mirrored), or
        the workers in the environment variable TF_CONFIG (multi_worker).
      logical_devices: the number of devices to divide the CPU into, to try `strategy="mirrored"`
        without GPUs.
      worker_timeout: the run ends if a worker does not answer for this many seconds.
      precision: the number format of computations; weights are always float32.
      checkpoint_every: the number of outer steps between checkpoints.
      keep_checkpoints: the number of checkpoints to keep.
      restore_best: at the end, take the checkpoint with the lowest validation loss, which is kept
        too, instead of the last one; for data so few that a long training fits their noise.
      restart_from: continue from the checkpoint of this iteration and remove what came later, for
        example with another `inner_lr`, `meta_lr` or `clip_norm` after a training diverged.
      restart: start again at step 0; removes the checkpoints and the learner in the folder.
      eval_tasks: the number of new tasks for the evaluation.
      baselines: also measure what the support set gives without meta-learning, on the same tasks.
      calibrate: after the training of a classifier, choose temperatures and thresholds of unknown
        classes on validation tasks; see `MetaLearner.calibrate`.
      profile: write a TensorBoard profile of the 3rd to 5th call.
      meta_lr: the step size of the outer loop (Adam; SGD for Reptile).
      meta_schedule: how `meta_lr` changes until the last iteration.
      clip_norm: the largest norm of the meta-gradient; unlimited if None.
      meta_batch_size: the number of tasks in an outer step.
      iterations: the number of outer steps.
      steps_per_execution: the number of outer steps in one call into TensorFlow.
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
    restore_best: bool = False
    restart_from: Count | None = None
    restart: bool = False
    eval_tasks: Annotated[int, AtLeast(2)] = 600
    baselines: bool = True
    calibrate: bool = True
    profile: bool = False
    meta_lr: Annotated[float, Above(0)] = 0.001
    meta_schedule: Literal["constant", "cosine", "linear"] = "constant"
    clip_norm: Annotated[float, Above(0)] | None = None
    meta_batch_size: Count = 25
    iterations: Count = 1000
    steps_per_execution: Count = 1
