"""The reference networks have the shapes, starts and order of layers that they promise."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_tf.models import conv4, mlp


@pytest.mark.parametrize("hidden", [(), (7,), (40, 40), (256, 128, 64, 64)])
@pytest.mark.parametrize(("inputs", "size"), [(1, 1), (3, 3), ((28, 28, 1), 784)])
def test_mlp_has_the_parameters_of_its_sizes(inputs, size, hidden):
    model = mlp(inputs, 5, hidden)
    widths = [size, *hidden, 5]
    expected = sum(a * b + b for a, b in itertools.pairwise(widths))
    assert model.built and model.count_params() == expected
    assert model.output_shape == (None, 5)
    assert model.layers[-1].name == "head"


def test_mlp_is_by_default_the_published_sinusoid_network():
    model = mlp()
    assert model.count_params() == (1 * 40 + 40) + (40 * 40 + 40) + (40 * 1 + 1)
    x = np.linspace(-5, 5, 9, dtype="float32")[:, np.newaxis]
    model.set_weights([w + 0.1 for w in model.get_weights()])
    w1, b1, w2, b2, w3, b3 = model.get_weights()
    h = np.maximum(np.maximum(x @ w1 + b1, 0) @ w2 + b2, 0)
    np.testing.assert_allclose(model(x), h @ w3 + b3, rtol=1e-5, atol=1e-5)


def test_mlp_starts_from_truncated_normal_numbers_and_zeros():
    # A normal number cut at ±2 has the variance 1 - 4 φ(2) / (2 Φ(2) - 1), φ and Φ being the
    # density and the distribution; a sample of n has its deviation to about 1/√(2n).
    density, inside = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(2 / math.sqrt(2))
    deviation = 0.01 * math.sqrt(1 - 4 * density / inside)
    model = mlp(300, 300, (300,))
    for layer in model.layers:
        kernel, bias = layer.get_weights()
        assert np.abs(kernel).max() <= 0.02
        assert abs(kernel.mean()) < 5 * deviation / np.sqrt(kernel.size)
        assert abs(kernel.std() / deviation - 1) < 5 / np.sqrt(2 * kernel.size)
        np.testing.assert_array_equal(bias, 0)


@pytest.mark.parametrize("initializer", [None, "he_normal", keras.initializers.RandomNormal()])
def test_mlp_draws_every_layer_independently(initializer):
    model = mlp(20, 20, (20,), kernel_initializer=initializer)
    first, second = (layer.kernel.numpy() for layer in model.layers)
    assert not np.array_equal(first, second)


def test_mlp_takes_another_activation_for_its_hidden_layers_alone():
    model = mlp(1, 1, (4, 4), activation="tanh")
    assert [layer.activation.__name__ for layer in model.layers] == ["tanh", "tanh", "linear"]


def spatial_size(side, downsample):
    for _ in range(4):
        side = math.ceil(side / 2) if downsample == "stride" else side // 2
    return side


@pytest.mark.parametrize("downsample", ["stride", "max_pool"])
@pytest.mark.parametrize("head", ["mean", "flatten"])
@pytest.mark.parametrize("normalization", [True, False])
@pytest.mark.parametrize("shape", [(28, 28, 1), (84, 84, 3), (16, 37, 2)])
def test_conv4_has_the_shapes_and_parameters_of_its_sizes(shape, normalization, head, downsample):
    ways, f = 20, 8
    model = conv4(ways, f, shape, downsample, head, normalization)
    # Four 3x3 convolutions; scale, shift and two moving statistics each, or else a bias each.
    expected = 9 * shape[2] * f + 3 * 9 * f * f + 4 * (4 * f if normalization else f)
    height, width = (spatial_size(side, downsample) for side in shape[:2])
    features = f if head == "mean" else height * width * f
    assert model.count_params() == expected + features * ways + ways
    assert model.layers[-3].output.shape == (None, height, width, f)
    assert model(tf.zeros([2, *shape])).shape == (2, ways)


@pytest.mark.parametrize("head", ["mean", "flatten"])
def test_without_ways_conv4_is_what_lies_below_its_head(head):
    model, whole = (conv4(ways, 8, (14, 14, 1), head=head) for ways in (None, 5))
    model.set_weights(whole.get_weights()[:-2])
    x = np.random.default_rng(0).standard_normal([3, 14, 14, 1]).astype("float32")
    kernel, bias = whole.get_weights()[-2:]
    np.testing.assert_allclose(model(x) @ kernel + bias, whole(x), rtol=1e-5, atol=1e-6)


def test_without_outputs_mlp_is_what_lies_below_its_head():
    model, whole = (mlp(3, outputs, (4,)) for outputs in (None, 2))
    model.set_weights(whole.get_weights()[:-2])
    x = np.ones([2, 3], "float32")
    kernel, bias = whole.get_weights()[-2:]
    np.testing.assert_allclose(model(x) @ kernel + bias, whole(x), rtol=1e-5, atol=1e-8)


def test_conv4_is_by_default_the_published_omniglot_network():
    model = conv4(ways=5)
    assert [layer.name for layer in model.layers] == [
        *(f"{kind}{i}" for i in (1, 2, 3, 4) for kind in ("conv", "norm", "relu")),
        "mean",
        "head",
    ]
    sides = [layer.output.shape[1] for layer in model.layers if layer.name.startswith("conv")]
    assert sides == [14, 7, 4, 2]
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == (
        9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64 + 64 * 5 + 5
    )


def test_conv4_pools_after_the_activation():
    model = conv4(5, downsample="max_pool")
    assert [layer.name for layer in model.layers[:4]] == ["conv1", "norm1", "relu1", "pool1"]
    assert model.get_layer("conv1").strides == (1, 1)
    assert conv4(5, normalization=False).layers[1].name == "relu1"


def test_conv4_computes_its_blocks():
    # The formula of the docstring in TensorFlow's own operations, with batch statistics.
    model = conv4(5, 6, head="mean")
    x = tf.random.normal([7, 28, 28, 1])
    expected = x
    for i in range(1, 5):
        z = tf.nn.conv2d(expected, model.get_layer(f"conv{i}").kernel.value, 2, "SAME")
        norm = model.get_layer(f"norm{i}")
        mean = tf.reduce_mean(z, [0, 1, 2])
        variance = tf.reduce_mean((z - mean) ** 2, [0, 1, 2])
        z = (z - mean) / tf.sqrt(variance + norm.epsilon) * norm.gamma + norm.beta
        expected = tf.nn.relu(z)
    head = model.get_layer("head")
    expected = tf.reduce_mean(expected, [1, 2]) @ head.kernel.value + head.bias
    np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-4, atol=1e-4)


def test_conv4_starts_as_published():
    model = conv4(ways=300, filters=64)
    for i, channels in [(1, 1), (2, 64)]:
        # Glorot: uniform within ±√(6 / (fan in + fan out)), fans of 9 x channels; the deviation
        # is the limit over √3, known from n numbers to about √(1/(5 n)) of itself.
        kernel = model.get_layer(f"conv{i}").kernel.numpy()
        limit = math.sqrt(6 / (9 * channels + 9 * 64))
        assert np.abs(kernel).max() <= limit
        assert abs(kernel.std() / (limit / math.sqrt(3)) - 1) < 5 / np.sqrt(5 * kernel.size)
    kernel, bias = model.get_layer("head").get_weights()
    assert abs(kernel.mean()) < 5 / np.sqrt(kernel.size)
    assert abs(kernel.std() - 1) < 5 / np.sqrt(2 * kernel.size)
    np.testing.assert_array_equal(bias, 0)
    kernel = conv4(300, head="flatten").get_layer("head").kernel.numpy()
    assert np.abs(kernel).max() <= math.sqrt(6 / (2 * 2 * 64 + 300))


def test_both_can_be_saved_without_custom_objects(tmp_path):
    for model in (mlp(), conv4(5, 4)):
        x = tf.random.normal([3, *model.input_shape[1:]])
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": 0}, r"`inputs\[0\]`.*at least 1.*Received: 0"),
        ({"inputs": ()}, r"`inputs`.*axis.*Pass 1"),
        ({"inputs": (28, None, 1)}, r"`inputs\[1\]`.*Received: None"),
        ({"outputs": 1.5}, r"`outputs`.*Received: 1.5"),
        ({"outputs": True}, r"`outputs`.*Received: True"),
        ({"hidden": (40, 0)}, r"`hidden\[1\]`.*Received: 0"),
    ],
)
def test_mlp_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlp(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 1}, r"`ways`.*at least 2.*classes.*Received: 1"),
        ({"filters": 0}, r"`filters`.*Received: 0"),
        ({"input_shape": (28, 28)}, r"`input_shape`.*\(28, 28\).*\(28, 28, 1\)"),
        ({"input_shape": (28, None, 1)}, r"`input_shape\[1\]`.*Received: None"),
        ({"input_shape": (15, 28, 1), "downsample": "max_pool"}, r"16x16.*\(15, 28, 1\).*stride"),
        ({"downsample": "pool"}, r"`downsample`.*'max_pool'.*'pool'"),
        ({"head": "max"}, r"`head`.*'flatten'.*'max'"),
    ],
)
def test_conv4_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        conv4(**{"ways": 5, **arguments})
