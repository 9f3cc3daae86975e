"""The inputs and targets of an exported learner as `tf.TensorSpec`."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.data_checks.outputs import output_shape
from meta_tf.learner import MetaLearner
from meta_tf.network.losses import is_gaussian, takes_class_numbers
from meta_tf.network.network import Network


def input_specs(algorithm: Algorithm, network: Network, signature: Any) -> Any:
    """The shape and type of examples as `tf.TensorSpec`, [None, ...], for any number of them."""
    if signature is None:
        declared, model = algorithm.input_spec(network), network.model
        if declared is None:
            raise ValueError(
                "`input_signature` is needed for a model that declares no inputs. Received: the "
                f"model {model.name!r} of type {type(model).__name__}, and None. Describe a batch, "
                "for example: learner.export(path, input_signature=tf.TensorSpec([None, 28, 28, "
                "1], tf.float32))."
            )
        signature = keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), declared)

    def any_number(spec: Any) -> tf.TensorSpec:
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
            raise ValueError(
                "`input_signature` must be tf.TensorSpec of a batch, [None, ...], in the "
                f"structure of the model's inputs. Received: {spec!r}."
            )
        return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)

    return keras.tree.map_structure(any_number, signature)


def target_spec(learner: MetaLearner, inputs: Any, signature: Any) -> tf.TensorSpec:
    """The targets as a `tf.TensorSpec`: labels for a sparse loss, otherwise like the outputs.

    Outputs that are means and scales have two numbers for each target.
    """
    if signature is not None:
        return tf.TensorSpec([None, *signature.shape[1:]], signature.dtype)
    shape = output_shape(learner.algorithm, learner.network, inputs)
    if takes_class_numbers(learner.network.loss):
        return tf.TensorSpec([None, *shape[1:-1]], tf.int32)
    if is_gaussian(learner.network.loss) and shape[-1] is not None:
        shape = (*shape[:-1], shape[-1] // 2)
    return tf.TensorSpec([None, *shape[1:]], keras.config.floatx())
