"""Features of a voice without learning, and the accuracy for each voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.nearest import whitening
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import pictures_in
from meta_tf.tasks.split import Split

Features = Callable[[np.ndarray], np.ndarray]


def summaries(spectrograms: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each band over time, [n, 2 B] of [n, B, time, 1]."""
    bands = spectrograms[..., 0]
    return np.concatenate([bands.mean(2), bands.std(2)], 1)


def whitened_summaries(folder: Path, size: int) -> Features:
    """`summaries` minus their mean, whitened by the variation among one voice's clips.

    Both are computed from the voices in `folder`, except those at another speed, VOICE--SPEED.
    """
    voices = sorted(f for f in folder.iterdir() if f.is_dir() and "--" not in f.name)
    files = [[ImageFile.at(p) for p in pictures_in(v, "A class folder")] for v in voices]
    pictures = decode_images([f for of_voice in files for f in of_voice], (size, size), 1) / 255
    labels = np.repeat(np.arange(len(voices)), [len(of_voice) for of_voice in files])
    known = summaries(pictures)
    turned, mean = whitening([(known, labels)]), known.mean(0)
    return lambda spectrograms: (summaries(spectrograms) - mean) @ turned


def of_length_one(features: Features) -> Features:
    """The features scaled to unit length: the nearest then has the smallest angle."""

    def scaled(spectrograms: np.ndarray) -> np.ndarray:
        found = features(spectrograms)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return scaled


def by_voice(part: Split, choose: Callable[[dict], np.ndarray], tasks: int) -> dict[str, float]:
    """The share of each voice's clips that are recognised among its task's voices.

    `choose` returns the class of each query, [Q], for a batch of one task.
    """
    right: dict[str, list[float]] = {name: [] for name in part.classes}
    for number, (x, y) in enumerate(part.batches(1, seed=0).take(tasks)):
        labels, chosen = y[0].numpy(), choose(x)
        for label, name in enumerate(part.class_names(number, seed=0)):
            right[name].extend(chosen[labels == label] == label)
    return {name: round(float(np.mean(found)), 4) for name, found in right.items()}
