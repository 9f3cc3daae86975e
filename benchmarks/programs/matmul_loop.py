"""Square matrix products, one after another, for `peak`; has the interface of `programs`."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

from collections.abc import Callable
from typing import Any

from benchmarks.harness.workloads import Work


def build(work: Work, settings: dict[str, Any]) -> Products:
    del work
    make = _torch_product if settings["library"] == "torch" else _tensorflow_product
    return Products(make(settings["size"], settings["threads"]))


class Products:
    """Runs a product repeatedly."""

    def __init__(self, product: Callable[[], Any]):
        self.product = product

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.product()


def _tensorflow_product(size: int, threads: int) -> Callable[[], Any]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    a, b = tf.random.normal([size, size]), tf.random.normal([size, size])
    return lambda: tf.matmul(a, b)


def _torch_product(size: int, threads: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(threads)
    a, b, out = (torch.randn(size, size) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)
