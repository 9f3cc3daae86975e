"""Checks targets: their shape, which depends on the loss, and class labels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.data_checks.outputs import outputs_of, prediction_shape, wants_labels
from meta_tf.network.check_loss import last_activation
from meta_tf.network.losses import (
    chooses_class,
    compares_numbers,
    compares_probabilities,
    ignored_class,
    is_gaussian,
    is_of_keras,
    loss_function,
    loss_name,
    takes_class_numbers,
)
from meta_tf.network.network import Network

PROBABILITIES = "probabilities from 0 to 1, such as 0 and 1 for no and yes"
LEAST_PROBABLE, MOST_PROBABLE = -0.001, 1.001  # with the rounding of float16


def check_targets(
    algorithm: Algorithm, network: Network, name: str, shape: Any, dtype: Any, axes: int
) -> None:
    """Raises ValueError unless targets have the shape that the loss requires.

    `axes` is 2 for a batch [T, S, ...], 1 for a single task [S, ...]. A custom loss accepts any.
    """
    if tf.as_dtype(dtype) == tf.string:
        raise _class_names(name)
    if tf.as_dtype(dtype).is_complex:
        raise ValueError(
            f"`{name}` must be real numbers. Received: complex numbers. Give their real and "
            "imaginary parts as two targets."
        )
    outputs = prediction_shape(algorithm, network)
    if outputs is None:
        return
    labels, gaussian = wants_labels(algorithm, network), is_gaussian(network.loss)
    if not labels and not gaussian and not compares_numbers(loss_function(network.loss)):
        return
    wanted, given = outputs[:-1] if labels else outputs, tuple(shape[axes:])
    if gaussian and outputs[-1] is not None:
        wanted = (*outputs[:-1], outputs[-1] // 2)
    if len(given) == len(wanted) and not any(map(differ, given, wanted)):
        return
    front = "T, S" if axes == 2 else "S"
    cure = _cure(name, given, wanted if gaussian else outputs, labels, dtype)
    raise ValueError(
        f"`{name}` must be {'class numbers ' * labels}"
        f"[{', '.join([front, *map(str, wanted)])}] for the loss "
        f"{loss_name(network.loss)} and predictions of shape {outputs} for each example. Received: "
        f"shape {tuple(shape)}. {cure}"
    )


def check_predictions(algorithm: Algorithm, network: Network) -> None:
    """Raises ValueError unless the loss takes what the algorithm predicts."""
    name, loss, given = type(algorithm).__name__, network.loss, loss_name(network.loss)
    known, sparse = is_of_keras(loss) or is_gaussian(loss), takes_class_numbers(loss)
    if known and wants_labels(algorithm, network) and not sparse:
        raise ValueError(
            f"`loss` must compare class numbers with logits for {name}, which classifies. "
            f"Received: {given}. Pass loss=keras.losses.SparseCategoricalCrossentropy("
            "from_logits=True), or for regression use an algorithm such as MAML or InContext()."
        )
    if chooses_class(loss) and outputs_of(algorithm, network) == 1:
        raise ValueError(
            "`loss` must not choose one of several classes if there is one output, which would "
            f"always be right. Received: {given}, and one output of {network.model.name!r}. Give "
            "the model an output for each class, or pass loss=keras.losses.BinaryCrossentropy "
            "with the same `from_logits`."
        )
    _check_gaussians(algorithm, network)


def _check_gaussians(algorithm: Algorithm, network: Network) -> None:
    """Raises ValueError unless means and scales come with a Gaussian loss, and the reverse."""
    name = type(algorithm).__name__
    if not is_gaussian(network.loss):
        if algorithm.predicts_gaussians() and is_of_keras(network.loss):
            raise ValueError(
                f"`loss` must be meta_tf.GaussianLoss() for {name}, which predicts a mean and a "
                f"scale. Received: {loss_name(network.loss)}."
            )
        return
    outputs = outputs_of(algorithm, network)
    positive = algorithm.predicts_gaussians() or not _ends_in_linear(network)
    if (outputs is not None and outputs % 2) or not positive:
        received = "scales that can be negative" if not positive else f"{outputs} outputs"
        raise ValueError(
            "Predictions must be means and positive scales, two numbers for each target, for "
            f"meta_tf.GaussianLoss. Received: {name} and the model {network.model.name!r}, with "
            f"{received}. End the model with a layer of two outputs for each target and "
            "meta_tf.MeanAndScale(), or use ALPaCA or InContext(answer='gaussian')."
        )


def check_target_values(algorithm: Algorithm, network: Network, name: str, y: Any) -> None:
    """Raises ValueError unless targets are labels or probabilities, if the loss takes these."""
    if wants_labels(algorithm, network):
        check_labels(algorithm, network, name, y)
    elif compares_probabilities(network.loss):
        low, high = np.min(y, initial=0), np.max(y, initial=0)
        if low < LEAST_PROBABLE or high > MOST_PROBABLE:
            raise ValueError(
                f"`{name}` must hold {PROBABILITIES}. Received: numbers from {low:g} to {high:g}. "
                f"The loss {loss_name(network.loss)} means little for others. Scale them, or use "
                "another loss, such as 'hinge' for -1 and 1."
            )


def check_labels(algorithm: Algorithm, network: Network, name: str, labels: Any) -> None:
    """Raises ValueError unless the labels are whole numbers from 0 to the number of outputs - 1.

    The outputs are the model's, unless the algorithm has its own `ways`.
    """
    ways, outputs = algorithm.prediction_size(network), outputs_of(algorithm, network)
    values = np.asarray(labels)
    if values.dtype.kind == "b":
        values = values.astype("int32")
    if values.dtype.kind not in "iuf":
        raise _class_names(name)
    ignored = ignored_class(network.loss)
    if ignored is not None:
        values = values[values != ignored]
    if not values.size:
        return
    if not np.all(values == np.floor(values)) or values.min() < 0:
        first = ", ".join(map(str, values.reshape(-1)[:6].tolist()))
        raise ValueError(
            f"`{name}` must hold class numbers 0, 1, 2 ... Received: {first}"
            f"{', ...' if values.size > 6 else ''}. Number the classes of each task from 0."
        )
    if outputs is not None and values.max() >= outputs:
        raise ValueError(
            f"`{name}` must hold class numbers below {outputs}, the number of the "
            + ("model's outputs. " if ways is None else "algorithm's `ways`. ")
            + f"Received: a largest label of {values.max()}. Number the classes of each task from "
            f"0, or {'build the model with more outputs' if ways is None else 'give it more ways'}."
        )


def _ends_in_linear(network: Network) -> bool:
    return last_activation(network.model) is keras.activations.linear


def differ(one: int | None, other: int | None) -> bool:
    """Whether two sizes are known and differ."""
    return one is not None and other is not None and one != other


def _cure(
    name: str,
    given: tuple[int | None, ...],
    outputs: tuple[int | None, ...],
    labels: bool,
    dtype: Any,
) -> str:
    if labels:
        if given == (1,) and len(outputs) == 1:
            return f"Drop the last axis: {name}[..., 0]."
        if given == outputs:
            return f"Convert one-hot targets to class numbers with {name}.argmax(-1)."
        return "Give one class number for each example."
    if tf.as_dtype(dtype).is_integer and not given:
        return "For class numbers, use loss='sparse_categorical_crossentropy' or its object."
    if (*given, 1) == outputs:
        return f"Add an axis: {name}[..., None]."
    return "They would be broadcast: give a number for each output, or build another model."


def _class_names(name: str) -> ValueError:
    return ValueError(
        f"`{name}` must hold class numbers 0, 1, 2 ... Received: class names. Number them: "
        f"names, {name} = np.unique({name}, return_inverse=True); names[i] is then class i."
    )
