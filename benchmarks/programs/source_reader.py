"""Reads a task source on one core, for `sources`; has the interface of `programs`."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import meta_tf
from benchmarks.harness.workloads import Work

CHARACTERS, DRAWINGS = 1623, 20  # as many as Omniglot's


def build(work: Work, settings: dict) -> Reader:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return Reader(_source(settings, work), work.tasks)


class Reader:
    """Reads batches and discards them."""

    def __init__(self, source: meta_tf.tasks.Source, tasks: int):
        self.batches = iter(source.train.batches(tasks))

    def run(self, steps: int) -> None:
        for _ in range(steps):
            next(self.batches)


def _source(settings: dict[str, Any], work: Work) -> meta_tf.tasks.Source:
    name = settings["source"]
    counts: dict[str, Any] = {"shots": work.shots, "queries": work.queries}
    if name == "Sinusoid":
        return meta_tf.tasks.Sinusoid(**counts)
    if name == "HiddenTeacher":
        return meta_tf.tasks.HiddenTeacher(**counts)
    if name == "from_function":
        return meta_tf.tasks.from_function(_line)
    counts["ways"] = work.ways
    if name == "Omniglot":
        return meta_tf.tasks.Omniglot(settings["data_dir"], **counts)
    if name == "ImageFolder":
        with tempfile.TemporaryDirectory() as folder:
            _write_images(Path(folder))
            return meta_tf.tasks.ImageFolder(folder, **counts)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CHARACTERS), DRAWINGS)
    images = rng.integers(0, 256, [len(labels), 28, 28, 1], np.uint8)
    return meta_tf.tasks.from_arrays(images, labels, rotations="task", **counts)


def _line(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    slope, x = tf.split(tf.random.stateless_normal([21, 1], seed), [1, 20])
    return x[:10], slope * x[:10], x[10:], slope * x[10:]


def _write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label in range(30):
        (folder / f"class{label}").mkdir()
        for i in range(DRAWINGS):
            image = tf.io.encode_png(rng.integers(0, 256, [28, 28, 1], np.uint8))
            (folder / f"class{label}" / f"{i}.png").write_bytes(image.numpy())
