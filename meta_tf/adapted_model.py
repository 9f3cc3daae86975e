"""`AdaptedModel`: a network that has learned one task, as a Keras model of its own."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.export.keras_file import check_keras_file
from meta_tf.export.specs import input_specs
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
class AdaptedModel(keras.Model):
    """What `MetaLearner.adapt` returns: a Keras model for one task.

    It computes `algorithm.predict(network, weights, x)` with weights of its own, that
    is, what the learner predicts for a query set `x`, without dropout and the like even if
    it is trained on. In the batch-norm mode `transductive` that includes the statistics of
    the batch at hand: predict many examples of all classes at once, with
    `fitted.predict(x, batch_size=len(x))`, as `predict` alone cuts `x` into batches of 32.

    Args:
      network: the model and its loss; only its structure is used.
      algorithm: what predicts.
      weights: the adapted weights.

    Example:
      >>> fitted = learner.adapt(support_x, support_y)
      >>> fitted.predict(tf.zeros([7, 1]), verbose=0).shape
      (7, 1)
    """

    def __init__(self, network: Network, algorithm: Algorithm, weights: Weights, **options: Any):
        options.setdefault("dtype", network.model.dtype_policy)
        super().__init__(autocast=False, **options)
        self.network = network
        self.algorithm = algorithm
        model = network.model
        self._fast = [
            self._variable(v.path, w, trainable=True)
            for v, w in zip(model.trainable_variables, weights.model, strict=True)
        ]
        self._state = [
            self._variable(v.path, w)
            for v, w in zip(model.non_trainable_variables, weights.state, strict=True)
        ]
        self._own_meta = {n: self._variable(n, w) for n, w in weights.meta.items()}
        self.built = True

    def call(self, inputs: Tensors, training: bool = False) -> Tensors:
        """Predictions [B, ...] for the inputs [B, ...]."""
        del training
        return self.algorithm.predict(self.network, self.weights_now, inputs)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Exports as `keras.Model.export` does, with the inputs that the model declares."""
        if input_signature is None:
            input_signature = [input_specs(self.algorithm, self.network, None)]
        super().export(filepath, format, verbose, input_signature, **options)

    def compute_output_spec(self, inputs: Tensors, training: bool = False) -> Tensors:
        return self.algorithm.output_spec(self.network, inputs)

    @property
    def weights_now(self) -> Weights:
        """The weights, as tensors."""
        return Weights(
            [tf.convert_to_tensor(v.value) for v in self._fast],
            [tf.convert_to_tensor(v.value) for v in self._state],
            {name: tf.convert_to_tensor(v.value) for name, v in self._own_meta.items()},
        )

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Saves to a `.keras` file; what could not be loaded again is refused, as by a learner."""
        network = self.network
        parts = {"model": network.model, "algorithm": self.algorithm, "loss": network.loss}
        check_keras_file(filepath, parts)
        super().save(filepath, overwrite=overwrite, **options)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.network.model),
            "loss": keras.saving.serialize_keras_object(self.network.loss),
            "batch_norm": self.network.batch_norm,
            "algorithm": keras.saving.serialize_keras_object(self.algorithm),
            "meta": {n: [list(v.shape), v.dtype] for n, v in self._own_meta.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> AdaptedModel:
        del custom_objects
        config = dict(config)
        model, loss, algorithm = (
            keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("model", "loss", "algorithm")
        )
        network = Network(model, loss, config.pop("batch_norm"))
        meta = {n: tf.zeros(shape, dtype) for n, (shape, dtype) in config.pop("meta").items()}
        return cls(network, algorithm, network.weights._replace(meta=meta), **config)

    def _variable(self, path: str, value: Tensor, trainable: bool = False) -> keras.Variable:
        return self.add_weight(
            name=path.replace("/", "_"),
            shape=value.shape,
            dtype=value.dtype.name,
            initializer=lambda shape, dtype=None: tf.cast(value, dtype),
            trainable=trainable,
            autocast=False,
        )
