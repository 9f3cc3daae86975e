"""EfficientNet-Lite0: beside PyTorch's features, and its structure by the paper's table."""

import keras
import numpy as np
import pytest

import meta_tf
from tools.convert_efficientnet_lite0 import REFERENCE, picture


@pytest.fixture(scope="module")
def model():
    return meta_tf.models.efficientnet_lite0()


def test_features_are_those_of_the_published_network(model):
    # PyTorch computed REFERENCE from 32-bit kernels (tools/convert_efficientnet_lite0.py); ours
    # have 16 bits, a relative error of up to 2**-11 a kernel.
    features = model.predict(picture(), verbose=0)
    reference = np.load(REFERENCE)
    assert reference.max() > 4
    np.testing.assert_allclose(features, reference, atol=0.02)


def test_the_first_block_filters_and_narrows_as_the_formulas_say(model):
    # block 0: depthwise 3x3 -> norm -> ReLU6 -> 1x1 -> norm, by NumPy at one place of the map.
    stem = keras.Model(model.input, model.get_layer("stem_relu").output)
    block = keras.Model(model.input, model.get_layer("block0_project_norm").output)
    x = stem.predict(picture(), verbose=0)[0, 9:12, 19:22]

    def normalized(values, layer):
        gamma, beta, mean, variance = layer.get_weights()
        return gamma * (values - mean) / np.sqrt(variance + 1e-3) + beta

    (depthwise,) = model.get_layer("block0_depthwise").get_weights()
    (project,) = model.get_layer("block0_project").get_weights()
    filtered = (x * depthwise[..., 0]).sum((0, 1))
    filtered = normalized(filtered, model.get_layer("block0_depthwise_norm")).clip(0, 6)
    expected = normalized(filtered @ project[0, 0], model.get_layer("block0_project_norm"))
    found = block.predict(picture(), verbose=0)[0, 10, 20]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_thousand_outputs_have_the_published_number_of_parameters():
    # Of the stages (k, e, in, out): k² e in + e in out (+ e in², if e > 1), and 4 for each
    # channel that is normalised.
    stages = [(3, 1, 16, 1), (3, 6, 24, 2), (5, 6, 40, 2), (3, 6, 80, 3), (5, 6, 112, 3)]
    stages += [(5, 6, 192, 4), (3, 6, 320, 1)]
    count, width = 27 * 32 + 4 * 32, 32
    for kernel, expansion, out, repeats in stages:
        for _ in range(repeats):
            wide = width * expansion
            count += (width * wide + 4 * wide) * (expansion > 1)
            count += kernel**2 * wide + 4 * wide + wide * out + 4 * out
            width = out
    count += width * 1280 + 4 * 1280 + 1281 * 1000
    small = meta_tf.models.efficientnet_lite0(32, outputs=1000, weights=None)
    assert small.count_params() == count == 4_694_024  # PyTorch's 4 694 073 has 49 counters


@pytest.mark.parametrize(
    ("given", "named"),
    [({"size": 16}, "`size`"), ({"weights": "mine"}, "`weights`"), ({"outputs": 0}, "`outputs`")],
)
def test_wrong_arguments_are_named(given, named):
    with pytest.raises(ValueError, match=named):
        meta_tf.models.efficientnet_lite0(**given)
