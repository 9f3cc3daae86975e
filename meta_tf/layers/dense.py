"""`MetaDense`: the layer of the example that this library grew out of."""

from __future__ import annotations

from typing import Any

import keras

from meta_tf.checks import check_integer, check_switch


# A separate layer rather than a `keras.layers.Dense` with other defaults: all of its
# computation is visible here, without Dense's quantisation and LoRA.
@keras.saving.register_keras_serializable("meta_tf")
class MetaDense(keras.layers.Layer):
    """A dense layer whose weights, including the bias, are initialised from N(0, 1).

    For x [..., D], with W [D, units] the attribute `kernel` and b [units] the attribute `bias`:

        f(x) = activation(x W + b)

    It is an ordinary layer for any Keras model, and differs from `keras.layers.Dense` only in its
    defaults. The wide initialisation makes the outputs large: their variance before the activation
    is D + 1 for inputs N(0, 1). That is right for one layer, but usually too wide for a deep stack.

    Args:
      units: number of outputs, at least 1.
      activation: the activation function, as a name in `keras.activations` or a
        function of a tensor; None for none.
      use_bias: whether to add b.
      kernel_initializer: initializer of W; None for N(0, 1).
      bias_initializer: initializer of b; None for N(0, 1).
      **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
      ValueError: if `units` is not an integer of at least 1, if `activation` is
        unknown, or if the size of the input's last axis is unknown.

    Example:
      >>> layer = MetaDense(5)
      >>> layer(keras.ops.ones([8, 10])).shape
      TensorShape([8, 5])
      >>> [weight.name for weight in layer.trainable_variables]
      ['kernel', 'bias']
    """

    def __init__(
        self,
        units: int,
        activation: Any = "relu",
        use_bias: bool = True,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_integer("units", units, 1, "the number of outputs of MetaDense")
        check_switch("use_bias", use_bias)
        self.units = int(units)
        self.activation = _activation(activation)
        self.use_bias = use_bias
        self.kernel_initializer = _initializer(kernel_initializer)
        self.bias_initializer = _initializer(bias_initializer)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates W and, with `use_bias`, b for inputs of `input_shape` [..., D]."""
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                "The last axis of MetaDense's input must have a known size, which is the number "
                f"of rows of W. Received: input_shape={tuple(input_shape)}. Start the model with "
                "an Input of that size, for example keras.Input([10])."
            )
        self.kernel = self.add_weight(
            name="kernel", shape=(features, self.units), initializer=self.kernel_initializer
        )
        self.bias = (
            self.add_weight(name="bias", shape=(self.units,), initializer=self.bias_initializer)
            if self.use_bias
            else None
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, x: Any) -> Any:
        """Returns activation(x W + b), [..., units], for `x` [..., D]."""
        x = keras.ops.matmul(x, self.kernel)
        if self.bias is not None:
            x = keras.ops.add(x, self.bias)
        return self.activation(x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def _activation(activation: Any) -> Any:
    try:
        return keras.activations.get(activation)
    except ValueError as error:
        raise ValueError(
            "`activation` of MetaDense must be the name of a function in keras.activations, a "
            f"function of a tensor, or None. Received: activation={activation!r}. Pass, for "
            "example, 'relu', 'tanh' or None."
        ) from error


def _initializer(initializer: Any) -> Any:
    # A new one for each weight: an initialiser draws the same numbers at each call.
    if initializer is None:
        return keras.initializers.RandomNormal(mean=0.0, stddev=1.0)
    return keras.initializers.get(initializer)
