"""Calibrates a learner on tasks: temperatures, and the threshold for unknown classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from meta_tf.batch.sizes import task_of
from meta_tf.calibration import Calibration, fit_temperature, log_probabilities, of_class, softmax
from meta_tf.checks import check_integer, check_number, check_seed
from meta_tf.data_checks.outputs import wants_labels
from meta_tf.layers.strangeness import Judged
from meta_tf.learner.query_batch import depends_on_batch
from meta_tf.network.losses import ignored_class, loss_name, takes_logits
from meta_tf.tasks.columns import check_columns
from meta_tf.types import Tensor, Tensors

_ENOUGH = 500  # queries for a threshold
# Of a split: tasks, and queries that are predicted one by one.
_LEAST_TASKS, _MOST_TASKS, _MOST_ALONE = 5, 100, 1000


def calibrated(
    learner: Any, splits: Sequence[Any], tasks_number: int | None, false_alarms: float, seed: int
) -> Calibration:
    """The calibration of a `MetaLearner`; see its `calibrate`.

    The learner has a calibration during the computation, so that the models that it adapts
    measure distances.
    """
    if not classifies(learner):
        raise ValueError(
            "`calibrate` needs a learner that classifies: one with the loss "
            "keras.losses.SparseCategoricalCrossentropy. Received: the loss "
            f"{loss_name(learner.network.loss)}."
        )
    if tasks_number is not None:
        check_integer("tasks_number", tasks_number, at_least=1)
    check_number("false_alarms", false_alarms, above=0, below=1)
    if not splits or not all(callable(getattr(split, "batches", None)) for split in splits):
        raise ValueError(
            "`calibrate` needs splits of task sources, such as tasks.valid. Received: "
            f"{', '.join(type(split).__name__ for split in splits) or 'none'}."
        )
    for split in splits:
        check_columns(learner.columns, split)
    measures = Calibration({(1, 1): 1.0}, {(1, 1): 0.0})
    before, learner.calibration = learner.calibration, measures
    try:
        return _found(learner, splits, tasks_number, false_alarms, seed)
    finally:
        learner.calibration = before


def _found(
    learner: Any, splits: Sequence[Any], tasks_number: int | None, false_alarms: float, seed: int
) -> Calibration:
    by_size: dict[tuple[int, int], list[tuple[Judged, np.ndarray]]] = {}
    from_own_class = []
    for split in splits:
        number = tasks_number or enough_tasks(learner, split, seed)
        for task in tasks_of(split, number, seed):
            fitted = learner.adapt(task["support_x"], task["support_y"])
            judged = fitted.judged(task["query_x"], batch_with=task["support_x"])
            ways, shots = size_of(task["support_y"])
            y = np.asarray(task["query_y"])
            by_size.setdefault((ways, round(shots)), []).append((judged, y))
            if judged.apart is not None:
                from_own_class.append(of_class(judged.apart, y).mean())
    by_size = dict(sorted(by_size.items()))
    loss = learner.network.loss
    temperatures = {
        size: fit_temperature([logits_of(loss, j.logits) for j, _ in some], [y for _, y in some])
        for size, some in by_size.items()
    }
    # The distances of queries from the means of their own classes are on average the spread.
    spread = float(np.mean(from_own_class)) if from_own_class else None
    strange = {
        size: np.concatenate([judged.strangeness(spread) for judged, _ in some])
        for size, some in by_size.items()
    }
    thresholds = {
        size: float(np.quantile(_of_size(strange, size), 1 - false_alarms)) for size in strange
    }
    return Calibration(temperatures, thresholds, false_alarms, spread)


def _of_size(strange: dict[tuple[int, int], np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The strangeness of queries of tasks of this size, and of the nearest sizes if it has few."""
    apart = {other: np.square(np.log(np.divide(other, size))).sum() for other in strange}
    found: list[np.ndarray] = []
    for other in sorted(strange, key=lambda other: apart[other]):
        if sum(map(len, found)) >= _ENOUGH:
            break
        found.append(strange[other])
    return np.concatenate(found)


def enough_tasks(learner: Any, split: Any, seed: int) -> int:
    """How many tasks of a split a learner is calibrated on by default.

    100 tasks. A learner that predicts each query alone takes long, so it gets only as many tasks
    as contain 1000 queries, but at least 5.
    """
    if not depends_on_batch(learner.network):
        return _MOST_TASKS
    queries = next((y.shape[1] for _, y in split.batches(1, seed=seed)), 1)
    return max(_LEAST_TASKS, min(_MOST_TASKS, _MOST_ALONE // queries))


def tasks_of(split: Any, number: int, seed: int) -> Iterator[dict[str, Tensors]]:
    """The first tasks of a split, each without a task axis and padding.

    Raises:
      ValueError: if there are fewer than `number`.
    """
    check_seed("seed", seed)
    done = 0
    for x, y in split.batches(1, seed=seed):
        yield task_of({**x, "query_y": y}, 0)
        done += 1
        if done == number:
            return
    raise ValueError(
        f"A split must contain `tasks_number` tasks. Received: a split that ends after {done} "
        f"tasks, and tasks_number={number}."
    )


def classifies(learner: Any) -> bool:
    """Whether a learner predicts the classes of whole examples."""
    network = learner.network
    labels = wants_labels(learner.algorithm, network) and ignored_class(network.loss) is None
    return labels and takes_logits(network.loss) is not None


def logits_of(loss: Any, outputs: np.ndarray) -> np.ndarray:
    """Outputs of a classifier as logits: themselves, or the logarithms of probabilities."""
    return outputs if takes_logits(loss) else log_probabilities(outputs)


def probabilities_of(loss: Any, outputs: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The probabilities [..., N] of a classifier's outputs, float64: softmax(logits / T)."""
    return softmax(logits_of(loss, outputs) / temperature)


def size_of(labels: Tensor) -> tuple[int, float]:
    """The number of classes of a support set, and of examples per class, by its labels [S]."""
    labels = np.asarray(labels)
    ways = max(len(np.unique(labels)), 1)
    return ways, labels.size / ways
