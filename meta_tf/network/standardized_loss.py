"""`StandardizedLoss`: a loss in standard units, of targets and predictions in their own units."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from meta_tf.gaussian import GaussianLoss
from meta_tf.network.loss_config import loss_settings, written_loss
from meta_tf.network.losses import is_of_keras, loss_function, loss_name
from meta_tf.network.standardized import Statistics
from meta_tf.types import Tensor

# Losses that depend only on `y_true - y_pred`, and so mean the same in standard units.
_OF_DIFFERENCES = (
    keras.losses.mean_squared_error,
    keras.losses.mean_absolute_error,
    keras.losses.huber,
    keras.losses.log_cosh,
)


@keras.saving.register_keras_serializable("meta_tf")
class StandardizedLoss(keras.losses.Loss):
    """A loss in standard units, for targets and predictions in their own units.

        value = loss((y_true - mean) / deviation, (y_pred - mean) / deviation)

    For `GaussianLoss`, predicted scales are divided by the deviation. An inner step size then
    means the same whether prices are in euros or in cents. A metric such as "mse" still uses the
    units of the targets. Mean and deviation are numbers, or one for each output. Raises ValueError
    for a Keras loss that changes its meaning with the units.

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
        if isinstance(loss, GaussianLoss):  # scales are divided, and not shifted
            mean, deviation = self.of_targets
            self.of_predictions = Statistics(
                np.concatenate([mean, np.zeros_like(mean)]), np.tile(deviation, 2)
            )

    @property
    def fn(self) -> Any:
        """The function of the loss, by which other code identifies it; see `loss_function`."""
        return loss_function(self.loss)

    @property
    def _fn_kwargs(self) -> dict[str, Any]:
        # `write_parts` uses it to reject files that would lose the loss's settings.
        return loss_settings(self.loss)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        function = getattr(self.loss, "call", self.loss)
        return function(self.of_targets.standard(y_true), self.of_predictions.standard(y_pred))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("reduction")  # `loss` has it
        loss = written_loss(self.loss)
        numbers = {name: v.tolist() for name, v in self.of_targets._asdict().items()}
        return {**config, "loss": loss, **numbers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StandardizedLoss:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def _check_loss(loss: Any) -> None:
    if is_of_keras(loss) and loss_function(loss) not in _OF_DIFFERENCES:
        names = ", ".join(f.__name__ for f in _OF_DIFFERENCES)
        raise ValueError(
            f"`loss` must mean the same in standard units, as {names} do. Received: "
            f"{loss_name(loss)!r}. Leave the targets unchanged: "
            "standardize(part, targets=False)."
        )
