"""`Calibration`: how sure a learner is of its answers, and which inputs are none of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from meta_tf.checks import check_number

_STEEPEST, _FLATTEST = 1e-4, 1e4  # the range of temperatures
_HALVINGS = 60
_LEAST = 1e-30  # a probability whose logarithm is finite


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `MetaLearner.calibrate` found; the learner keeps it and saves it.

    Attributes:
      temperatures: by number of classes and of support examples per class: logits divided by the
        temperature have the smallest cross-entropy. More classes and fewer examples usually need
        a lower one.
      threshold: an input whose strangeness is above it counts as none of the classes.
      false_alarms: the fraction of inputs of known classes above the threshold.
      spread: the usual squared distance of an embedding from its class's mean; None for a
        learner without embeddings.

    Example:
      >>> calibration = Calibration({(5, 1): 2.0, (5, 4): 0.5}, threshold=0.4)
      >>> [round(calibration.temperature(5, shots), 3) for shots in (1, 2, 4, 50)]
      [2.0, 1.0, 0.5, 0.5]
    """

    temperatures: Mapping[tuple[int, int], float]
    threshold: float
    false_alarms: float = 0.05
    spread: float | None = None

    def __post_init__(self) -> None:
        if not self.temperatures:
            raise ValueError("`temperatures` must not be empty. Received: {}.")
        for sizes, temperature in self.temperatures.items():
            for number in (*sizes, temperature):
                check_number("temperatures", number, above=0)
        check_number("false_alarms", self.false_alarms, above=0, below=1)

    def temperature(self, ways: float, shots: float) -> float:
        """The temperature for a task of this size.

        Its logarithm is linear in the logarithms of the two numbers, by least squares through
        `temperatures`. A task beyond the smallest and largest of them has that of the nearest.
        """
        sizes = np.log(np.array(list(self.temperatures), float))
        found = np.log(list(self.temperatures.values()))
        middle = sizes.mean(0)
        slopes = np.linalg.lstsq(sizes - middle, found - found.mean(), rcond=None)[0]
        size = np.clip(np.log([ways, shots]), sizes.min(0), sizes.max(0))
        return float(np.exp(found.mean() + (size - middle) @ slopes))

    def get_config(self) -> dict[str, Any]:
        """The values, for a file."""
        listed = [[*sizes, self.temperatures[sizes]] for sizes in sorted(self.temperatures)]
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**values, "temperatures": listed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Calibration:
        """The calibration with these values."""
        temperatures = {(w, s): temperature for w, s, temperature in config["temperatures"]}
        return cls(**{**config, "temperatures": temperatures})


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [..., N] of logits [..., N], in float64."""
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Log p, finite where p is 0: logits with these probabilities."""
    return np.log(np.maximum(probabilities, _LEAST))


def fit_temperature(logits: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """The temperature T with the smallest mean cross-entropy of softmax(logits / T).

    The cross-entropy is convex in 1/T; its derivative is the mean over all examples of
    Σ_n p_n z_n - z_y, which a bisection of log T sets to 0.

    Args:
      logits: of each task, [Q, N]; N may differ.
      labels: of each task, [Q].
    """
    of_class = [
        np.take_along_axis(z, y[:, None].astype(int), 1)[:, 0]
        for z, y in zip(logits, labels, strict=True)
    ]

    def derivative(temperature: float) -> float:
        return float(
            sum(
                ((softmax(z / temperature) * z).sum(-1) - right).sum()
                for z, right in zip(logits, of_class, strict=True)
            )
        )

    low, high = np.log(_STEEPEST), np.log(_FLATTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # As T rises, the expected logit falls.
        low, high = (middle, high) if derivative(np.exp(middle)) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """The expected calibration error: |confidence - accuracy|, averaged over bins of confidence.

    Args:
      probabilities: [B, N].
      labels: [B].
      bins: the number of bins of equal width between 0 and 1.

    Returns:
      A number from 0 to 1.

    Example:
      >>> sure = np.array([[0.9, 0.1]] * 10)
      >>> round(calibration_error(sure, np.array([0] * 7 + [1] * 3)), 6)   # right in 70 %
      0.2

    Reference:
      Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    confidence = probabilities.max(-1)
    right = probabilities.argmax(-1) == labels
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    apart = [abs((confidence - right)[places == b].sum()) for b in range(bins)]
    return float(sum(apart)) / len(labels)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean of -log p of the right class, for probabilities [B, N] and labels [B]."""
    right = np.take_along_axis(probabilities, labels[:, None].astype(int), 1)
    return float(-log_probabilities(right).mean())


def auroc(known: np.ndarray, strange: np.ndarray) -> float:
    """The probability that a strange input has the larger value than a known one; ties count ½.

    Example:
      >>> auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
      0.875
    """
    known = np.sort(known)
    below = np.searchsorted(known, strange, "left") + np.searchsorted(known, strange, "right")
    return float(below.mean() / 2 / len(known))
