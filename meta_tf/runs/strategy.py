"""`--strategy`: one device, all devices of this machine, or the workers that `TF_CONFIG` names."""

from __future__ import annotations

import tensorflow as tf

from meta_tf.run.settings import Training
from meta_tf.runs.workers import Workers


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
