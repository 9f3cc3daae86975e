"""What TensorFlow is told before it works: the device, threads, what it keeps of convolutions."""

from __future__ import annotations

import contextlib
import os

import tensorflow as tf

from meta_tf.batch.map_tasks import cores


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
