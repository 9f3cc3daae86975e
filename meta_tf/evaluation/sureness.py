"""`Sureness`: whether the probabilities of classes are right, over the queries of many tasks."""

from __future__ import annotations

import numpy as np

from meta_tf.calibration import calibration_error, log_loss


class Sureness:
    """Collects the probabilities of each task's queries."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._confidence: list[np.ndarray] = []
        self._right: list[np.ndarray] = []

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Adds a task: probabilities [Q, N] and labels [Q]; those of N and above have none."""
        missing = max(0, int(labels.max()) + 1 - probabilities.shape[1])
        probabilities = np.pad(probabilities, [(0, 0), (0, missing)])
        self._losses.append(log_loss(probabilities, labels))
        self._confidence.append(probabilities.max(-1))
        self._right.append(probabilities.argmax(-1) == labels)

    def accuracy(self) -> float:
        """The fraction of queries whose most likely class is right."""
        return float(np.concatenate(self._right).mean())

    def losses(self) -> np.ndarray:
        """The mean cross-entropy of each task, [n]."""
        return np.array(self._losses)

    def ece(self) -> float:
        """The calibration error over all queries, from 0 to 1; see `calibration_error`."""
        return calibration_error(np.concatenate(self._confidence), np.concatenate(self._right))
