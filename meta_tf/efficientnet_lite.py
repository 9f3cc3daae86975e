"""EfficientNet-Lite0: a small network for photographs, with weights learned from ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from meta_tf.checks import check_choice, check_integer

WEIGHTS = Path(__file__).resolve().parent / "zoo" / "efficientnet_lite0.npz"


class _Stage(NamedTuple):
    """Blocks of one width: `repeats` of them, the first with the stride."""

    kernel: int
    stride: int
    repeats: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(kernel=3, stride=1, repeats=1, expansion=1, filters=16),
    _Stage(kernel=3, stride=2, repeats=2, expansion=6, filters=24),
    _Stage(kernel=5, stride=2, repeats=2, expansion=6, filters=40),
    _Stage(kernel=3, stride=2, repeats=3, expansion=6, filters=80),
    _Stage(kernel=5, stride=1, repeats=3, expansion=6, filters=112),
    _Stage(kernel=5, stride=2, repeats=4, expansion=6, filters=192),
    _Stage(kernel=3, stride=1, repeats=1, expansion=6, filters=320),
)


def efficientnet_lite0(
    size: int = 224, outputs: int | None = None, weights: str | None = "imagenet"
) -> keras.Model:
    """Builds EfficientNet-Lite0, which turns a photograph into 1280 features.

    A 3x3 convolution of stride 2, sixteen inverted residual blocks, a 1x1 convolution and the
    mean over height and width. A block widens its input e times, filters each channel by itself,
    and narrows the result:

        expand 1x1 -> norm -> ReLU6 -> depthwise k x k -> norm -> ReLU6 -> project 1x1 -> norm

    and adds its input where both have the same shape. *Lite* leaves out squeeze-and-excitation
    and uses ReLU6 in place of swish, so that every layer converts to LiteRT and ONNX.

    Args:
      size: height and width of a picture in pixels, at least 32. The weights were learned at 224;
        smaller pictures are faster and recognised less well.
      outputs: logits of a dense layer `head` after the features, which starts from random
        weights; None, for features, leaves it out.
      weights: `"imagenet"` for the weights that come with the library (float16, 7 MB), learned
        from 1.3 million photographs of a thousand classes; None for random ones.

    Returns:
      A built `keras.Model`, pictures [B, size, size, 3] of values from 0 to 1 to features
      [B, 1280], all at least 0, or to logits [B, outputs].

    Raises:
      ValueError: if a size is too small, or `weights` is something else.

    Example:
      >>> model = efficientnet_lite0(64)
      >>> model(keras.ops.zeros([2, 64, 64, 3])).shape, model.count_params()
      (TensorShape([2, 1280]), 3413024)

    Reference: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", ICML 2019; Lite0 is the variant of TensorFlow's authors for phones.
    """
    check_integer("size", size, 32)
    check_choice("weights", weights, ("imagenet", None))
    if outputs is not None:
        check_integer("outputs", outputs, 1)
    inputs = keras.Input((size, size, 3), name="picture")
    # The network was trained on (255 x - 127) / 128.
    x = keras.layers.Rescaling(255 / 128, -127 / 128, name="scale")(inputs)
    x = _convolution(x, 32, 3, 2, "stem")
    x = _relu6(_normalized(x, "stem"), "stem")
    block = 0
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = _block(x, stage, stride, f"block{block}")
            block += 1
    x = _relu6(_normalized(_convolution(x, 1280, 1, 1, "features"), "features"), "features")
    x = keras.layers.GlobalAveragePooling2D("channels_last", name="mean")(x)
    if outputs is not None:
        x = keras.layers.Dense(outputs, name="head")(x)
    model = keras.Model(inputs, x, name="efficientnet_lite0")
    if weights is not None:
        _load(model)
    return model


def _block(x: keras.KerasTensor, stage: _Stage, stride: int, name: str) -> keras.KerasTensor:
    """One inverted residual block."""
    start, width = x, x.shape[-1]
    if stage.expansion > 1:
        x = _convolution(x, width * stage.expansion, 1, 1, f"{name}_expand")
        x = _relu6(_normalized(x, f"{name}_expand"), f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel,
        stride,
        "same",
        use_bias=False,
        data_format="channels_last",
        name=f"{name}_depthwise",
    )(x)
    x = _relu6(_normalized(x, f"{name}_depthwise"), f"{name}_depthwise")
    x = _convolution(x, stage.filters, 1, 1, f"{name}_project")
    x = _normalized(x, f"{name}_project")
    if stride == 1 and width == stage.filters:
        x = keras.layers.Add(name=f"{name}_add")([start, x])
    return x


def _convolution(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        "same",
        use_bias=False,
        data_format="channels_last",
        name=name,
    )(x)


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(axis=-1, epsilon=1e-3, name=f"{name}_norm")(x)


def _relu6(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


def _load(model: keras.Model) -> None:
    """Sets the weights that come with the library; a `head` keeps its own."""
    with np.load(WEIGHTS) as stored:
        for layer in model.layers:
            if layer.weights and layer.name != "head":
                layer.set_weights([stored[f"{layer.name}/{v.name}"] for v in layer.weights])
