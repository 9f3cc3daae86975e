"""What a loss takes and compares: class numbers, logits, probabilities, or means and scales."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from meta_tf.gaussian import GaussianLoss

_CHOOSING = {  # one of several classes
    keras.losses.sparse_categorical_crossentropy: "SparseCategoricalCrossentropy",
    keras.losses.categorical_crossentropy: "CategoricalCrossentropy",
    keras.losses.categorical_focal_crossentropy: "CategoricalFocalCrossentropy",
}
OF_YES_AND_NO = {
    keras.losses.binary_crossentropy: "BinaryCrossentropy",
    keras.losses.binary_focal_crossentropy: "BinaryFocalCrossentropy",
}
CROSS_ENTROPIES = {**_CHOOSING, **OF_YES_AND_NO}
_OF_DISTRIBUTIONS = (
    keras.losses.categorical_generalized_cross_entropy,
    keras.losses.kl_divergence,
)
# Keras's losses and metrics that take class numbers, or sequences of them.
_OF_CLASSES = {
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_generalized_cross_entropy,
    keras.losses.circle,
    keras.losses.ctc,
    keras.metrics.sparse_categorical_accuracy,
    keras.metrics.sparse_top_k_categorical_accuracy,
}


def loss_function(loss: Any) -> Any:
    """The function that a Keras loss object wraps; other losses are returned unchanged."""
    return getattr(loss, "fn", loss)


def loss_name(loss: Any) -> str:
    """The name of a loss for a message."""
    function = loss_function(loss)
    return getattr(function, "__name__", type(function).__name__)


def takes_logits(loss: Any) -> bool | None:
    """Whether a Keras cross-entropy takes logits; None for any other loss."""
    if loss_function(loss) not in CROSS_ENTROPIES:
        return None
    return isinstance(loss, keras.losses.Loss) and bool(loss.get_config().get("from_logits"))


def chooses_class(loss: Any) -> bool:
    """Whether a loss is a cross-entropy of Keras for classes, of which exactly one is right."""
    return loss_function(loss) in _CHOOSING


def takes_class_numbers(loss: Any) -> bool:
    """Whether a loss is the cross-entropy of Keras for class numbers."""
    return loss_function(loss) is keras.losses.sparse_categorical_crossentropy


def takes_probabilities(loss: Any) -> bool:
    """Whether a loss of Keras takes probabilities, which sum to 1 or are separate."""
    return takes_logits(loss) is False or loss_function(loss) in _OF_DISTRIBUTIONS


def compares_probabilities(loss: Any) -> bool:
    """Whether a loss of Keras takes targets that are probabilities, such as one-hot vectors."""
    of_probabilities = loss_function(loss) in (*CROSS_ENTROPIES, keras.losses.kl_divergence)
    return of_probabilities and not takes_class_numbers(loss)


def is_of_keras(loss: Any) -> bool:
    """Whether Keras defines what a loss computes."""
    return getattr(loss_function(loss), "__module__", "").startswith("keras.")


def is_gaussian(loss: Any) -> bool:
    """Whether a loss, perhaps in standard units, is that of means and scales."""
    return isinstance(loss_function(loss), GaussianLoss)


def ignored_class(loss: Any) -> int | None:
    """The class number that a Keras loss ignores (`ignore_class`); None if there is none."""
    return getattr(loss, "ignore_class", None)


def compares_numbers(function: Any) -> bool:
    """Whether a loss or metric of Keras compares number by number: it would broadcast silently."""
    of_keras = inspect.isfunction(function) and function.__module__.startswith("keras.")
    return of_keras and function not in _OF_CLASSES
