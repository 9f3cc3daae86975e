"""Sets up TensorFlow before it computes: devices, threads and strategy."""

from __future__ import annotations

import contextlib
import os

import tensorflow as tf

from meta_tf.batch.map_tasks import cores
from meta_tf.run.settings import Training
from meta_tf.run.workers import Workers


def set_up_device(device: str, *, share_operations: bool = False) -> None:
    """Sets the device and the number of threads.

    With many tasks, one task per core is faster than operations that run on all cores: `ALPaCA`
    takes twice as long with those, on two cores.

    Args:
      device: `"auto"` for a GPU if there is one, `"cpu"` or `"gpu"`.
      share_operations: whether an operation runs on all cores. It is faster for tasks that XLA
        compiles, whose program has no other threads, and for a single task with many photographs.

    Raises:
      ValueError: if `device` is `"gpu"` and there is none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ValueError(
            "--device=gpu needs a GPU, but TensorFlow finds none. Use --device=auto, or "
            "install TensorFlow with GPU support."
        )
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif gpus:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    # Otherwise, to save little memory, oneDNN prepares the gradients of convolutions again in every
    # call, which takes a fifth of the time if tasks have few images.
    os.environ.setdefault("TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "false")
    with contextlib.suppress(RuntimeError):  # too late: TensorFlow has started its threads
        tf.config.threading.set_intra_op_parallelism_threads(cores() if share_operations else 1)
        tf.config.threading.set_inter_op_parallelism_threads(cores())


def set_up_strategy(training: Training) -> Workers:
    """The processes that train together, and the strategy for their devices.

    Call it before TensorFlow computes anything: it cannot divide the CPU, or find workers, later.

    Args:
      training: how the training runs.

    Raises:
      ValueError: if there are too few devices, or fewer tasks in a batch than replicas.
    """
    if training.strategy == "none":
        return Workers()
    if training.strategy == "multi_worker":
        workers = Workers.of_environment(training.worker_timeout)
    else:
        workers = Workers(tf.distribute.MirroredStrategy(_devices(training)))
    replicas = workers.strategy.num_replicas_in_sync
    if training.meta_batch_size < replicas:
        raise ValueError(
            f"--meta_batch_size must be at least {replicas}, a task for each replica. Received: "
            f"--meta_batch_size={training.meta_batch_size}."
        )
    return workers


def _devices(training: Training) -> list[str]:
    """The devices of the strategy `mirrored`."""
    gpus = [] if training.device == "cpu" else tf.config.list_physical_devices("GPU")
    if training.logical_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * training.logical_devices
        tf.config.set_logical_device_configuration(cpu, parts)
        return [f"CPU:{part}" for part in range(training.logical_devices)]
    if not gpus:
        raise ValueError(
            "--strategy=mirrored uses all GPUs of this machine, but TensorFlow finds none. Add "
            "--logical_devices=2 to try it on parts of the CPU, or leave --strategy out: the tasks "
            "of a batch share the cores of a CPU anyway."
        )
    return [f"GPU:{number}" for number in range(len(gpus))]
