"""What TensorFlow is set up with before it computes: devices, threads, who shares the work."""

from __future__ import annotations

import contextlib
import os

import tensorflow as tf

from meta_tf.batch.map_tasks import cores
from meta_tf.run.settings import Training
from meta_tf.run.workers import Workers


def set_up_device(device: str, dense: bool = False) -> None:
    """Chooses the device and the threads, and has what is prepared for convolutions kept.

    A task on each core beats kernels over all cores.

    Args:
      device: `"auto"` for a GPU if there is one, `"cpu"` or `"gpu"`.
      dense: whether the network has dense layers only. Its tasks run in programs of XLA,
        which shares its work among the threads that operations have.

    Raises:
      ValueError: if there is no GPU, and one was asked for.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ValueError(
            "--device=gpu needs a GPU that TensorFlow sees; it sees none. Use --device=auto, or "
            "install TensorFlow with GPU support."
        )
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif gpus:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    # TensorFlow would have oneDNN prepare the gradients of convolutions by their kernels anew at
    # every call, to save memory: with few images a task, a fifth of the time, for hardly any.
    os.environ.setdefault("TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE", "false")
    with contextlib.suppress(RuntimeError):  # TensorFlow has begun to work, with threads as it has
        tf.config.threading.set_intra_op_parallelism_threads(cores() if dense else 1)
        tf.config.threading.set_inter_op_parallelism_threads(cores())


def set_up_strategy(training: Training) -> Workers:
    """The processes that train together, with the strategy over their devices.

    Before anything is computed: TensorFlow divides the CPU, and finds its workers, only then.

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
    """The devices of `--strategy=mirrored`."""
    gpus = [] if training.device == "cpu" else tf.config.list_physical_devices("GPU")
    if training.logical_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * training.logical_devices
        tf.config.set_logical_device_configuration(cpu, parts)
        return [f"CPU:{part}" for part in range(training.logical_devices)]
    if not gpus:
        raise ValueError(
            "--strategy=mirrored takes all GPUs of this machine, and TensorFlow sees none. Add "
            "--logical_devices=2 to try it with parts of the CPU, or leave --strategy out: the "
            "tasks of a batch share the cores of a CPU in any case."
        )
    return [f"GPU:{number}" for number in range(len(gpus))]
