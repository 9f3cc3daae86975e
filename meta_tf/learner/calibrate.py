"""Calibrates a learner on tasks: temperatures, and the threshold for unknown classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.batch.sizes import cut
from meta_tf.calibration import Calibration, fit_temperature, log_probabilities
from meta_tf.checks import check_integer, check_number, check_seed
from meta_tf.data_checks.targets import wants_labels
from meta_tf.network.check_loss import takes_logits
from meta_tf.types import Tensor, Tensors


def calibrated(
    learner: Any, parts: Sequence[Any], tasks_number: int, false_alarms: float, seed: int
) -> Calibration:
    """The calibration of a `MetaLearner`; see its `calibrate`.

    The learner has a calibration during the computation, so that the models that it adapts
    measure distances.
    """
    check_classifies(learner, "calibrate")
    check_integer("tasks_number", tasks_number, at_least=1)
    check_number("false_alarms", false_alarms, above=0, below=1)
    if not parts or not all(callable(getattr(part, "batches", None)) for part in parts):
        raise ValueError(
            "`calibrate` needs parts of task sources, such as tasks.valid. Received: "
            f"{', '.join(type(part).__name__ for part in parts) or 'none'}."
        )
    before, learner.calibration = learner.calibration, Calibration({(1, 1): 1.0}, threshold=0.0)
    try:
        return _found(learner, parts, tasks_number, false_alarms, seed)
    finally:
        learner.calibration = before


def _found(
    learner: Any, parts: Sequence[Any], tasks_number: int, false_alarms: float, seed: int
) -> Calibration:
    judged, of_class = [], []
    by_size: dict[tuple[int, int], tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for part in parts:
        for task in tasks_of(part, tasks_number, seed):
            y = np.asarray(task["query_y"])
            fitted = learner.adapt(task["support_x"], task["support_y"])
            logits, apart = fitted.judged(task["query_x"], company=task["support_x"])
            judged.append((fitted, logits, apart))
            if apart is not None:
                of_class.append(np.take_along_axis(apart, y[:, None].astype(int), 1).mean())
            if not takes_logits(learner.network.loss):
                logits = log_probabilities(logits)
            ways, shots = size_of(task["support_y"])
            logits_of, labels_of = by_size.setdefault((ways, round(shots)), ([], []))
            logits_of.append(np.asarray(logits, np.float64))
            labels_of.append(y)
    temperatures = {size: fit_temperature(*by_size[size]) for size in sorted(by_size)}
    # The distances of queries from the means of their own classes are on average the spread.
    spread = float(np.mean(of_class)) if of_class else None
    start = Calibration(temperatures, 0.0, false_alarms, spread)
    strange = [fitted.raw_strangeness(*outcome, start) for fitted, *outcome in judged]
    threshold = float(np.quantile(np.concatenate(strange), 1 - false_alarms))
    return Calibration(temperatures, threshold, false_alarms, spread)


def tasks_of(part: Any, number: int, seed: int) -> Iterator[dict[str, Tensors]]:
    """The first tasks of a part, each without a task axis and padding.

    Raises:
      ValueError: if there are fewer than `number`.
    """
    check_seed("seed", seed)
    done = 0
    for x, y in part.batches(1, seed=seed):
        yield cut(tf.nest.map_structure(lambda t: t[0], {**x, "query_y": y}))
        done += 1
        if done == number:
            return
    raise ValueError(
        f"A part must contain `tasks_number` tasks. Received: a part that ends after {done} "
        f"tasks, and tasks_number={number}."
    )


def check_classifies(learner: Any, name: str) -> None:
    """Raises ValueError unless a learner predicts the classes of whole examples."""
    network = learner.network
    if not wants_labels(learner.algorithm, network) or takes_logits(network.loss) is None:
        raise ValueError(
            f"`{name}` needs a learner that classifies: one with the loss "
            f"keras.losses.SparseCategoricalCrossentropy. Received: the loss {network.loss!r}."
        )


def size_of(labels: Tensor) -> tuple[int, float]:
    """The number of classes of a support set, and of examples per class, by its labels [S]."""
    labels = np.asarray(labels)
    ways = max(len(np.unique(labels)), 1)
    return ways, labels.size / ways
