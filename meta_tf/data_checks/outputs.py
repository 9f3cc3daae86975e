"""What a learner predicts: classes or numbers, and how many."""

from __future__ import annotations

from typing import Any

import keras

from meta_tf.algorithms.base import Algorithm
from meta_tf.network.losses import loss_function, takes_class_numbers
from meta_tf.network.network import Network
from meta_tf.types import Tensors


def wants_labels(algorithm: Algorithm, network: Network) -> bool:
    """Whether targets are class numbers, and not numbers to predict."""
    return (
        algorithm.prediction_size(network) is not None
        or algorithm.only_seen_classes()
        or takes_class_numbers(network.loss)
    )


def classes_of(algorithm: Algorithm, network: Network, inputs: Any = None) -> int | None:
    """The number of classes that a learner distinguishes; None if it does not classify.

    `inputs`: the `tf.TensorSpec` of a batch, for a model that does not declare its inputs.
    """
    one_hot = loss_function(network.loss) is keras.losses.categorical_crossentropy
    if not (one_hot or wants_labels(algorithm, network)):
        return None
    if inputs is None:
        return outputs_of(algorithm, network)
    return output_shape(algorithm, network, inputs)[-1]


def output_shape(algorithm: Algorithm, network: Network, inputs: Any) -> tuple[int | None, ...]:
    """The shape of the predictions, [None, ...], for a batch of inputs as `tf.TensorSpec`."""
    tensors = keras.tree.map_structure(
        lambda s: keras.KerasTensor(tuple(s.shape), dtype=s.dtype.name), inputs
    )
    return tuple(algorithm.output_spec(network, tensors).shape)


def outputs_of(algorithm: Algorithm, network: Network) -> int | None:
    """The size of a prediction's last axis, if known."""
    shape = prediction_shape(algorithm, network)
    return shape[-1] if shape else None


def prediction_shape(algorithm: Algorithm, network: Network) -> tuple[int | None, ...] | None:
    """The shape of the prediction for one example; None if the model does not declare it."""
    spec = algorithm.input_spec(network)
    if type(algorithm).output_spec is not Algorithm.output_spec and spec is not None:
        return tuple(algorithm.output_spec(network, spec).shape[1:])
    size = algorithm.prediction_size(network)
    shape: Tensors = getattr(network.model, "output_shape", None)
    if not isinstance(shape, tuple) or not all(n is None or isinstance(n, int) for n in shape):
        return None if size is None else (size,)
    return tuple(shape[1:]) if size is None else (*shape[1:-1], size)
