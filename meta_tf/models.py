"""Reference networks: those of Finn et al. (2017) and their usual variants.

Plain functions that return built Keras models with named layers; the last layer is `head`
unless it is left out. The library does not depend on them: you can use any Keras model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras

from meta_tf.checks import check_choice, check_integer, check_kind, check_switch
from meta_tf.efficientnet_lite import efficientnet_lite0

__all__ = ["conv4", "efficientnet_lite0", "mlp"]


def mlp(
    inputs: int | Sequence[int] = 1,
    outputs: int | None = 1,
    hidden: Sequence[int] = (40, 40),
    activation: Any = "relu",
    kernel_initializer: Any = None,
) -> keras.Model:
    """Builds a dense network; the defaults are the sinusoid network 1-40-40-1.

    With a the activation and L = len(hidden), for x [B, inputs]:

        h_0 = x,   h_i = a(h_{i-1} W_i + b_i) for i = 1 ... L,   y = h_L W + b

    Args:
      inputs: number of inputs, or the shape of one example, such as
        (28, 28, 1), which is flattened first.
      outputs: number of outputs, without an activation: logits for
        classification. None leaves `head` out: the model is an embedding,
        [B, inputs] to [B, hidden[-1]].
      hidden: widths of the hidden layers, named `dense1`, `dense2`, ...; ()
        for a linear model.
      activation: of the hidden layers, as for `keras.layers.Dense`.
      kernel_initializer: of every W, each drawn independently; None for the published
        truncated normal with σ = 0.01. All b start at 0.

    Returns:
      A built `keras.Model`, [B, inputs] to [B, outputs].

    Raises:
      ValueError: if a size is not an integer of at least 1.

    Example:
      >>> model = mlp()
      >>> [layer.name for layer in model.layers], model.count_params()
      (['dense1', 'dense2', 'head'], 1761)

    Reference: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast
    Adaptation of Deep Networks", ICML 2017, section 5.1 and appendix.
    """
    shape = tuple(inputs) if isinstance(inputs, Sequence) else (inputs,)
    if not shape:
        raise ValueError("`inputs` must have an axis. Received: (). Pass 1 for single numbers.")
    _check_sizes("inputs", shape)
    _check_sizes("hidden", hidden)
    _check_known("activation", activation, keras.activations.get)
    _check_known("kernel_initializer", kernel_initializer, keras.initializers.get)
    if outputs is not None:
        check_integer("outputs", outputs, 1)
    elif not hidden:
        raise ValueError("`hidden` must have a layer if `outputs` is None. Received: ().")

    def dense(units: int, name: str, activation: Any = None) -> keras.layers.Layer:
        # An initialiser draws the same numbers at each call, so each layer has its own.
        initializer = keras.initializers.get(
            keras.initializers.TruncatedNormal(stddev=0.01)
            if kernel_initializer is None
            else kernel_initializer
        )
        if isinstance(initializer, keras.initializers.Initializer):
            initializer = initializer.clone()
        return keras.layers.Dense(
            units, activation=activation, kernel_initializer=initializer, name=name
        )

    layers = [keras.Input(shape, name="x")]
    if len(shape) > 1:
        layers.append(keras.layers.Flatten(name="flatten"))
    for i, units in enumerate(hidden, start=1):
        layers.append(dense(units, f"dense{i}", activation))
    if outputs is not None:
        layers.append(dense(outputs, "head"))
    return keras.Sequential(layers, name="mlp")


def conv4(
    ways: int | None,
    filters: int = 64,
    input_shape: Sequence[int] = (28, 28, 1),
    downsample: Literal["stride", "max_pool"] = "stride",
    head: Literal["mean", "flatten"] = "mean",
    normalization: bool = True,
) -> keras.Model:
    """Builds the four-block convolutional classifier of few-shot learning.

    Four blocks, i = 1 ... 4, each halving height and width:

        conv{i} 3x3, SAME -> norm{i} -> relu{i}  [-> pool{i} 2x2, VALID]

    and then, in `head`, a dense layer with one logit per class. The defaults
    are the published Omniglot network: 28 -> 14 -> 7 -> 4 -> 2, the mean over
    height and width, dense N(0, 1). The published miniImageNet network is
    `conv4(ways, 32, (84, 84, 3), "max_pool", "flatten")`.

    Args:
      ways: number of classes N, at least 2; None leaves the dense layer `head`
        out: the model is an embedding, as ProtoNet, MatchingNet and R2D2 need.
      filters: channels of every convolution.
      input_shape: of one image, (height, width, channels), channels last.
      downsample: "stride" for convolutions with stride 2, which round sizes up,
        or "max_pool" for stride 1 and pooling, which rounds them down.
      head: "mean" over height and width, with `head` drawn from N(0, 1), or
        "flatten", with `head` drawn Glorot uniform. Biases start at 0.
      normalization: whether each block has `norm{i}`, a batch normalisation.

    Returns:
      A built `keras.Model`, [B, height, width, channels] to logits [B, ways], or to
      embeddings [B, D].

    Raises:
      ValueError: if an argument is out of range, or if the image is smaller
        than the 16x16 that four poolings need.

    Example:
      >>> model = conv4(ways=5)
      >>> model(keras.ops.zeros([2, 28, 28, 1])).shape
      TensorShape([2, 5])
      >>> conv4(ways=None, head="flatten").output_shape
      (None, 256)

    Reference: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast
    Adaptation of Deep Networks", ICML 2017, section 5.2; the blocks are those
    of Vinyals et al., "Matching Networks for One Shot Learning", NIPS 2016.

    Known differences from the authors' program: a convolution followed by a
    normalisation has no bias, because the normalisation cancels it; and the
    normalisation has a learned scale as well as a learned shift, as in Keras,
    where theirs has only the shift.
    """
    _check_conv4(ways, filters, input_shape, downsample, head)
    check_switch("normalization", normalization)
    pooled = downsample == "max_pool"
    layers = [keras.Input(tuple(input_shape), name="x")]
    for i in range(1, 5):
        layers.append(
            keras.layers.Conv2D(
                filters,
                3,
                strides=1 if pooled else 2,
                padding="same",
                use_bias=not normalization,
                kernel_initializer="glorot_uniform",
                data_format="channels_last",
                name=f"conv{i}",
            )
        )
        if normalization:
            layers.append(keras.layers.BatchNormalization(axis=-1, name=f"norm{i}"))
        layers.append(keras.layers.ReLU(name=f"relu{i}"))
        if pooled:
            layers.append(
                keras.layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{i}")
            )
    if head == "mean":
        layers.append(keras.layers.GlobalAveragePooling2D("channels_last", name="mean"))
        initializer = keras.initializers.RandomNormal(stddev=1.0)
    else:
        layers.append(keras.layers.Flatten("channels_last", name="flatten"))
        initializer = keras.initializers.GlorotUniform()
    if ways is not None:
        layers.append(keras.layers.Dense(ways, kernel_initializer=initializer, name="head"))
    return keras.Sequential(layers, name="conv4")


def _check_conv4(
    ways: int | None, filters: int, input_shape: Sequence[int], downsample: str, head: str
) -> None:
    if ways is not None:
        check_integer("ways", ways, 2, "the number of classes to tell apart")
    check_integer("filters", filters, 1)
    check_choice("downsample", downsample, ("stride", "max_pool"))
    check_choice("head", head, ("mean", "flatten"))
    if not isinstance(input_shape, Sequence) or len(input_shape) != 3:
        raise ValueError(
            "`input_shape` must be (height, width, channels). Received: "
            f"{input_shape}. Grey images need a last axis of 1, as in (28, 28, 1)."
        )
    _check_sizes("input_shape", input_shape)
    if downsample == "max_pool" and min(input_shape[:2]) < 16:
        raise ValueError(
            "`input_shape` must be at least 16x16 with downsample='max_pool', which halves it "
            f"four times, rounding down. Received: {input_shape}. Pass larger images, or "
            "downsample='stride', which rounds up."
        )


def _check_known(name: str, value: Any, get: Callable[[Any], Any]) -> None:
    """Raises ValueError unless Keras knows an activation or an initialiser."""
    try:
        get(value)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"`{name}` must be one of Keras's, its name, or None. Received: {value!r}."
        ) from error


def _check_sizes(name: str, sizes: Any) -> None:
    check_kind(name, sizes, Sequence, "a list or tuple of integers")
    for i, size in enumerate(sizes):
        check_integer(f"{name}[{i}]", size, 1)
