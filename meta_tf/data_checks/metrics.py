"""Checks that Keras metrics get targets of the kind that they take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from meta_tf.data_checks.targets import differ
from meta_tf.network.losses import compares_numbers, loss_function

_METRICS = keras.metrics
_OF_LABELS = (
    _METRICS.sparse_categorical_accuracy,
    _METRICS.sparse_top_k_categorical_accuracy,
    _METRICS.sparse_categorical_crossentropy,
)
# The bases of custom metrics.
_GENERAL = (_METRICS.Metric, _METRICS.Mean, _METRICS.MeanMetricWrapper, _METRICS.Sum)


def check_metrics(argument: str, metrics: Iterable[Any], targets: Any, predictions: Any) -> None:
    """Raises ValueError if a Keras metric does not fit the shapes of targets and predictions.

    Keras broadcasts class numbers against the outputs, or treats them as one-hot vectors, without
    an error. Custom metrics are not checked, and `"accuracy"` adapts to the targets. `metrics` are
    as for `compile`.
    """
    targets, predictions = tuple(targets), tuple(predictions)
    for given in metrics:
        metric = found_metric(given)
        function = loss_function(getattr(metric, "_fn", metric))
        if any(function is one for one in _OF_LABELS):
            right, wanted = _are_labels(targets, predictions), "class numbers"
        elif compares_numbers(function) or _takes_numbers(metric):
            right, wanted = _are_alike(targets, predictions), "targets of the predictions' shape"
        else:
            continue
        if not right:
            name = getattr(metric, "__name__", type(metric).__name__)
            raise ValueError(
                f"`{argument}` must fit the targets. Received: {name}, which takes {wanted}, "
                f"targets of shape {targets} and predictions of shape {predictions}. "
                f"{_cure(name, targets, predictions)}"
            )


def found_metric(given: Any) -> Any:
    """The metric that Keras finds for a name; other metrics unchanged.

    It may make variables, so call it outside of compiled steps and replicas.
    """
    if not isinstance(given, str) or given.lower() in ("accuracy", "acc"):
        return given
    try:
        return _METRICS.get(given)
    except ValueError:  # Keras reports it
        return given


def _takes_numbers(metric: Any) -> bool:
    """Whether a metric is one of Keras's, or derived from one, and does not take class numbers."""
    of_keras = (c for c in type(metric).__mro__ if c.__module__.startswith("keras."))
    special = next(of_keras, _METRICS.Metric) not in _GENERAL
    return special and not getattr(metric, "sparse_y_true", False)


def _are_labels(targets: Any, predictions: Any) -> bool:
    if len(targets) == len(predictions) and targets[-1] == 1:
        targets = targets[:-1]
    return len(targets) == len(predictions) - 1


def _are_alike(targets: Any, predictions: Any) -> bool:
    # Keras drops a last axis of length 1.
    for longer, shorter in ((targets, predictions), (predictions, targets)):
        if len(longer) == len(shorter) + 1 and longer[-1] == 1:
            targets = predictions = shorter
    return len(targets) == len(predictions) and not any(map(differ, targets, predictions))


def _cure(name: str, targets: Any, predictions: Any) -> str:
    if not _are_labels(targets, predictions):
        return "Use one for targets of that shape: 'accuracy' chooses automatically."
    sparse = f"sparse_{name}" if name.islower() else f"Sparse{name}"
    if hasattr(_METRICS, sparse):
        return f"Use keras.metrics.{sparse}, its counterpart for class numbers."
    return (
        "For class numbers, use 'accuracy', or a function (y, predictions) that converts them to "
        "one-hot targets."
    )
