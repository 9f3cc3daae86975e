"""`Calibration`: how sure a learner is of its answers, and which inputs are none of the classes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from meta_tf.checks import check_number

_STEEPEST, _FLATTEST = 1e-4, 1e4  # the range of temperatures
_HALVINGS = 60
_SAME = 1e-12  # a squared distance of sizes that is only a rounding error
_BINS = 15  # of confidence
_LEAST = 1e-30  # a probability whose logarithm is finite

Size: TypeAlias = tuple[int, int]
"""A number of classes, and of support examples per class."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `MetaLearner.calibrate` found; the learner keeps it and saves it.

    Attributes:
      temperatures: by number of classes and of support examples per class: logits divided by the
        temperature have the smallest cross-entropy. More classes and fewer examples usually need
        a lower one.
      thresholds: by the same numbers: an input whose strangeness is above the threshold counts as
        none of the classes.
      false_alarms: the fraction of inputs of known classes above the threshold.
      spread: the usual squared distance of an embedding from its class's mean; None for a
        learner without embeddings.

    Example:
      >>> calibration = Calibration({(5, 1): 2.0, (5, 4): 0.5}, {(5, 1): 0.4, (20, 1): 0.3})
      >>> [round(calibration.temperature(5, shots), 3) for shots in (1, 2, 4, 50)]
      [2.0, 1.0, 0.5, 0.5]
      >>> [round(calibration.threshold(ways, 1), 3) for ways in (2, 5, 10, 20)]
      [0.4, 0.4, 0.35, 0.3]
    """

    temperatures: Mapping[Size, float]
    thresholds: Mapping[Size, float]
    false_alarms: float = 0.05
    spread: float | None = None

    def __post_init__(self) -> None:
        for name in ("temperatures", "thresholds"):
            values = getattr(self, name)
            if not isinstance(values, Mapping) or not values:
                raise ValueError(
                    f"`{name}` must map numbers of classes and of examples per class to values, "
                    f"{{(5, 1): 0.4}}. Received: {values!r}."
                )
            for size in values:
                for number in size:
                    check_number(name, number, above=0)
        for temperature in self.temperatures.values():
            check_number("temperatures", temperature, above=0)
        for threshold in self.thresholds.values():
            check_number("thresholds", threshold, above=-math.inf)
        check_number("false_alarms", self.false_alarms, above=0, below=1)

    def temperature(self, ways: float, shots: float) -> float:
        """The temperature for a task of this size.

        Its logarithm is linear in the logarithms of the two numbers, by least squares through
        `temperatures`. A task beyond the smallest and largest of them has that of the nearest.
        """
        sizes, size = _logarithms(self.temperatures, ways, shots)
        found = np.log(list(self.temperatures.values()))
        middle = sizes.mean(0)
        slopes = np.linalg.lstsq(sizes - middle, found - found.mean(), rcond=None)[0]
        return float(np.exp(found.mean() + (size - middle) @ slopes))

    def temperature_formula(self) -> dict[str, Any]:
        """The numbers with which other programs compute `temperature`.

        For N classes and K support examples per class, neither beyond the ends of `ways` and of
        `shots`:

            log T = constant + log_ways · log N + log_shots · log K
        """
        ways, shots = ([min(n), max(n)] for n in zip(*self.temperatures, strict=True))
        start, more_ways, more_shots = (
            float(np.log(self.temperature(n, k)))
            for n, k in ((ways[0], shots[0]), (ways[1], shots[0]), (ways[0], shots[1]))
        )
        slopes = [
            (other - start) / np.log(high / low) if high > low else 0.0
            for other, (low, high) in ((more_ways, ways), (more_shots, shots))
        ]
        constant = start - float(np.dot(slopes, np.log([ways[0], shots[0]])))
        names = ("constant", "log_ways", "log_shots", "ways", "shots")
        return dict(zip(names, (constant, *slopes, ways, shots), strict=True))

    def threshold(self, ways: float, shots: float) -> float:
        """The threshold for a task of this size.

        The mean of `thresholds`, each weighted by d⁻⁴, with d its distance by the logarithms of
        the two numbers: those of the nearest sizes count. A task beyond the smallest and largest
        of them has that of the nearest.
        """
        sizes, size = _logarithms(self.thresholds, ways, shots)
        found = np.array(list(self.thresholds.values()), float)
        square = np.square(sizes - size).sum(-1)
        if square.min() < _SAME:
            return float(found[square.argmin()])
        return float(np.average(found, weights=square**-2))

    def threshold_table(self) -> dict[str, Any]:
        """The numbers with which other programs compute `threshold`.

        `ways`, `shots` and `threshold`: lists of equal lengths, one entry for each size; and
        `false_alarms`.
        """
        ways, shots = (list(numbers) for numbers in zip(*self.thresholds, strict=True))
        return {
            "ways": ways,
            "shots": shots,
            "threshold": list(self.thresholds.values()),
            "false_alarms": self.false_alarms,
        }

    def at_size(self, ways: float, shots: float) -> dict[str, float]:
        """The `temperature` and the `threshold` for a task of this size, by name."""
        return {
            "temperature": self.temperature(ways, shots),
            "threshold": self.threshold(ways, shots),
        }

    def get_config(self) -> dict[str, Any]:
        """The values, for a file."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("temperatures", "thresholds"):
            values[name] = [[*size, values[name][size]] for size in sorted(values[name])]
        return values

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Calibration:
        """The calibration with these values."""
        config = dict(config)
        if "threshold" in config:  # older files have one for all sizes
            config["thresholds"] = [[1, 1, config.pop("threshold")]]
        for name in ("temperatures", "thresholds"):
            config[name] = {(ways, shots): value for ways, shots, value in config[name]}
        return cls(**config)


def _logarithms(
    values: Mapping[Size, float], ways: float, shots: float
) -> tuple[np.ndarray, np.ndarray]:
    """The logarithms of the sizes [n, 2], and of one, not beyond the smallest and the largest."""
    sizes = np.log(np.array(list(values), float))
    return sizes, np.clip(np.log([ways, shots]), sizes.min(0), sizes.max(0))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [..., N] of logits [..., N], in float64."""
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Log p, finite where p is 0: logits with these probabilities."""
    return np.log(np.maximum(probabilities, _LEAST))


def of_class(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The values [B] of the classes `labels` [B], from those of all classes [B, N]."""
    return np.take_along_axis(values, labels[:, None].astype(int), 1)[:, 0]


def fit_temperature(logits: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """The temperature T with the smallest mean cross-entropy of softmax(logits / T).

    With n examples, a share 1 / (n + 1) of each label goes to the most likely other class, as if
    one more example were wrong. Otherwise T would be 0 where all examples are right.

    The cross-entropy is convex in 1/T; its derivative is the mean over all examples of
    Σ_n (p_n - y_n) z_n, which a bisection of log T sets to 0.

    Args:
      logits: of each task, [Q, N]; N may differ.
      labels: of each task, [Q].
    """
    logits = [np.asarray(z, np.float64) for z in logits]
    share = 1 / (sum(map(len, labels)) + 1)
    wanted = []
    for z, y in zip(logits, labels, strict=True):
        others = np.where(np.arange(z.shape[1]) == y[:, None], -np.inf, z).max(-1)
        wanted.append((1 - share) * of_class(z, y) + share * others)

    def derivative(temperature: float) -> float:
        return float(
            sum(
                ((softmax(z / temperature) * z).sum(-1) - each).sum()
                for z, each in zip(logits, wanted, strict=True)
            )
        )

    low, high = np.log(_STEEPEST), np.log(_FLATTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # As T rises, the expected logit falls.
        low, high = (middle, high) if derivative(np.exp(middle)) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The expected calibration error: |confidence - accuracy|, averaged over bins of confidence.

    Args:
      confidence: the largest probabilities, [B].
      right: whether their classes are right, [B].

    Returns:
      A number from 0 to 1, with 15 bins of equal width.

    Example:
      >>> right = np.array([True] * 7 + [False] * 3)
      >>> round(calibration_error(np.full(10, 0.9), right), 6)
      0.2

    Reference:
      Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    apart = np.bincount(places, confidence - right)
    return float(np.abs(apart).sum()) / len(right)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean of -log p of the right class, for probabilities [B, N] and labels [B]."""
    return float(-log_probabilities(of_class(probabilities, labels)).mean())


def auroc(known: np.ndarray, strange: np.ndarray) -> float:
    """The probability that a strange input has the larger value than a known one; ties count ½.

    Example:
      >>> auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
      0.875
    """
    known = np.sort(known)
    below = np.searchsorted(known, strange, "left") + np.searchsorted(known, strange, "right")
    return float(below.mean() / 2 / len(known))
