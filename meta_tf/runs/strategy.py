"""`--strategy`: one device, all devices of this machine, or the workers that `TF_CONFIG` names."""

from __future__ import annotations

import argparse

import tensorflow as tf

from meta_tf.runs.workers import Workers


def set_up_strategy(flags: argparse.Namespace) -> Workers:
    """The processes that train together, with the strategy over their devices.

    Before anything is computed: TensorFlow divides the CPU, and finds its workers, only then.

    Args:
      flags: those of `meta-tf train`.

    Raises:
      ValueError: if there are too few devices, or fewer tasks in a batch than replicas.
    """
    if flags.strategy == "none":
        return Workers()
    if flags.strategy == "multi_worker":
        workers = Workers.of_environment(flags.worker_timeout)
    else:
        workers = Workers(tf.distribute.MirroredStrategy(_devices(flags)))
    replicas = workers.strategy.num_replicas_in_sync
    if flags.meta_batch_size < replicas:
        raise ValueError(
            f"--meta_batch_size must be at least {replicas}, a task for each replica. Received: "
            f"--meta_batch_size={flags.meta_batch_size}."
        )
    return workers


def _devices(flags: argparse.Namespace) -> list[str]:
    """The devices of `--strategy=mirrored`."""
    gpus = [] if flags.device == "cpu" else tf.config.list_physical_devices("GPU")
    if flags.logical_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * flags.logical_devices
        tf.config.set_logical_device_configuration(cpu, parts)
        return [f"CPU:{part}" for part in range(flags.logical_devices)]
    if not gpus:
        raise ValueError(
            "--strategy=mirrored takes all GPUs of this machine, and TensorFlow sees none. Add "
            "--logical_devices=2 to try it with parts of the CPU, or leave --strategy out: the "
            "tasks of a batch share the cores of a CPU in any case."
        )
    return [f"GPU:{number}" for number in range(len(gpus))]
