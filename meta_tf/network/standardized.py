"""Learning in standard units: rows and targets go in, and predictions come out, in their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_tf.gaussian import GaussianLoss
from meta_tf.network.check_loss import loss_function
from meta_tf.types import Tensor

# Losses that depend on `y_true - y_pred` alone, and so mean the same in standard units.
_OF_DIFFERENCES = (
    keras.losses.mean_squared_error,
    keras.losses.mean_absolute_error,
    keras.losses.huber,
    keras.losses.log_cosh,
)
_SMALLEST, _LARGEST = 1e-30, 1e30  # deviations with which float32 can still compute
_FIRST, _LAST = "standardize", "restore_units"


class Statistics(NamedTuple):
    """Mean and standard deviation of each number along the last axis, float64 [F].

    The deviation of numbers that are all the same is 1.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standard(self, values: Any) -> Any:
        """Values in standard units: of mean 0 and deviation 1."""
        mean, deviation = self._like(values)
        return (values - mean) / deviation

    def restored(self, values: Any) -> Any:
        """Values in standard units in their own."""
        mean, deviation = self._like(values)
        return mean + values * deviation

    def _like(self, values: Any) -> tuple[Any, ...]:
        return tuple(tf.constant(v, values.dtype) if tf.is_tensor(values) else v for v in self)


def statistics_of(name: str, values: Any) -> Statistics:
    """The statistics of `values` [n, ..., F], over all axes but the last.

    Args:
      name: of the values, for the errors.
      values: floats. Of [n], mean and deviation are single numbers.

    Raises:
      ValueError: if they are no floats, not finite, or too small or large to be scaled in float32.

    Example:
      >>> statistics_of("x", np.array([[0.0, 7.0], [4.0, 7.0]]))
      Statistics(mean=array([2., 7.]), deviation=array([2., 1.]))
    """
    values = np.asarray(values)
    if values.dtype.kind != "f":
        raise ValueError(
            f"`{name}` must be floats to be standardized. Received: {values.dtype}. Integers stand "
            "for names here, such as tokens; numbers that are measured become floats by "
            ".astype('float32')."
        )
    axes = tuple(range(max(1, values.ndim - 1)))
    mean, deviation = (f(values, axis=axes, dtype=np.float64) for f in (np.mean, np.std))
    # The deviation of equal numbers is not always 0, but what rounding leaves of them.
    deviation = np.where(values.min(axes) == values.max(axes), 1.0, deviation)
    if not np.all((deviation > _SMALLEST) & (deviation < _LARGEST) & np.isfinite(mean)):
        raise ValueError(
            f"`{name}` must be finite, of standard deviations between {_SMALLEST:g} and "
            f"{_LARGEST:g}. Received: {deviation}. Give them in another unit."
        )
    return Statistics(np.asarray(mean), np.asarray(deviation))


def standardized_model(
    model: keras.Model,
    inputs: Statistics,
    outputs: Statistics | None,
    example_shape: tuple[int | None, ...],
) -> keras.Model:
    """A model of the same layers that takes, and gives, numbers in their own units.

        x ↦ outputs.mean + outputs.deviation · model((x - inputs.mean) / inputs.deviation)

    The two new layers are `keras.layers.Rescaling`, in float32 under any policy. (A
    `keras.layers.Normalization` would hold its constants as eager tensors, which a long inner
    loop cannot take derivatives past, and takes deviations below 1e-7 for 1e-7.)

    Args:
      model: of one input. It shares its layers with the result, and is not changed.
      inputs: of the model's inputs.
      outputs: of what its outputs are to be; None leaves them as they are.
      example_shape: of one example, for a model that does not declare its inputs.

    Returns:
      A `keras.Sequential` of one, another model as a layer of a functional one.

    Raises:
      ValueError: if the model has several inputs or outputs, or others than the statistics are of.
    """
    if standardizes(model):
        raise ValueError(
            "The model must not standardize yet. Received: one with a layer named "
            f"{_FIRST!r}. Build a new learner to standardize by other tasks."
        )
    first = _rescaling(1 / inputs.deviation, -inputs.mean / inputs.deviation, _FIRST)
    last = []
    if outputs is not None:
        last.append(_rescaling(outputs.deviation, outputs.mean, _LAST))
    x = keras.Input(_input_shape(model, inputs) or example_shape, dtype=first.compute_dtype)
    if isinstance(model, keras.Sequential):
        return keras.Sequential([x, first, *model.layers, *last], name=model.name)
    y = model(first(x))
    for layer in last:
        y = layer(y)
    return keras.Model(x, y, name=model.name)


def standardizes(model: keras.Model) -> bool:
    """Whether `standardized_model` has made this model."""
    return any(layer.name == _FIRST for layer in getattr(model, "layers", ()))


def input_statistics(model: keras.Model) -> Statistics | None:
    """The statistics that a standardized model was made with; None for another model."""
    for layer in getattr(model, "layers", ()):
        if layer.name == _FIRST:
            scale, offset = (np.asarray(v) for v in (layer.scale, layer.offset))
            return Statistics(-offset / scale, 1 / scale)
    return None


@keras.saving.register_keras_serializable("meta_tf")
class StandardizedLoss(keras.losses.Loss):
    """A loss of targets and predictions in standard units, which are given in their own.

        value = loss((y_true - mean) / deviation, (y_pred - mean) / deviation)

    Of `GaussianLoss`, predicted scales are divided by the deviation.
    So an inner step size means the same whether prices are in euros or in cents. A metric such as
    "mse" is still one of the targets' own units.

    Args:
      loss: a Keras loss or a function `(y_true, y_pred) -> values`.
      mean: of the targets, a number or one for each output.
      deviation: likewise.
      name: the loss's name; that of `loss` if None.

    Raises:
      ValueError: if `loss` is one of Keras's that means something else in other units.

    Example:
      >>> loss = StandardizedLoss(keras.losses.MeanSquaredError(), mean=[20.0], deviation=[5.0])
      >>> float(loss([[20.0]], [[30.0]]))
      4.0
    """

    def __init__(self, loss: Any, mean: Any, deviation: Any, name: str | None = None):
        _check_loss(loss)
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        super().__init__(name=name or getattr(loss, "name", None), reduction=reduction)
        self.loss = loss
        self.of_targets = Statistics(np.asarray(mean), np.asarray(deviation))
        self.of_predictions = self.of_targets
        if isinstance(loss, GaussianLoss):  # a scale is stretched alone, and not shifted
            mean, deviation = self.of_targets
            self.of_predictions = Statistics(
                np.concatenate([mean, np.zeros_like(mean)]), np.tile(deviation, 2)
            )

    @property
    def fn(self) -> Any:
        """The function of the loss, by which others know it; see `loss_function`."""
        return loss_function(self.loss)

    @property
    def _fn_kwargs(self) -> dict[str, Any]:
        # By which a file is refused that would forget them; see `check_keras_file`.
        return getattr(self.loss, "_fn_kwargs", {})

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        function = getattr(self.loss, "call", self.loss)
        return function(self.of_targets.standard(y_true), self.of_predictions.standard(y_pred))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("reduction")  # is that of `loss`
        loss = keras.saving.serialize_keras_object(self.loss)
        numbers = {name: v.tolist() for name, v in self.of_targets._asdict().items()}
        return {**config, "loss": loss, **numbers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StandardizedLoss:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def _check_loss(loss: Any) -> None:
    function = loss_function(loss)
    if getattr(function, "__module__", "").startswith("keras.") and function not in _OF_DIFFERENCES:
        names = ", ".join(f.__name__ for f in _OF_DIFFERENCES)
        raise ValueError(
            f"`loss` must mean the same in standard units, as {names} do. Received: "
            f"{getattr(function, '__name__', function)!r}. Leave the targets as they are: "
            "standardize(part, targets=False)."
        )


def _rescaling(scale: np.ndarray, offset: np.ndarray, name: str) -> keras.layers.Layer:
    return keras.layers.Rescaling(
        scale.tolist(), offset.tolist(), name=name, dtype=keras.config.floatx()
    )


def _input_shape(model: keras.Model, inputs: Statistics) -> tuple[int | None, ...] | None:
    """The shape of one example that a model declares; None for a model that declares none.

    Raises:
      ValueError: if the statistics are not of such examples.
    """
    declared = getattr(model, "inputs", None)
    if declared is None:
        return None
    shape = tuple(declared[0].shape[1:])
    floats = declared[0].dtype.startswith("float")
    if len(declared) > 1 or not floats or shape[-1:] != inputs.mean.shape:
        shown = ", ".join(f"{list(t.shape[1:])} of {t.dtype}" for t in declared)
        raise ValueError(
            "The model must take one input of floats, as many along the last axis as the tasks' "
            f"examples have: {inputs.mean.shape}. Received: {model.name!r}, which takes {shown}. "
            "Put a layer that scales into the model yourself."
        )
    return shape
