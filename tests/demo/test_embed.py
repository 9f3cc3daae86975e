"""The network's file: the same numbers, and halves where they lose nothing."""

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.demo.photographs import embed_file


@pytest.mark.slow
@pytest.mark.parametrize("exact", [True, False])
def test_weights_are_stored_in_half_precision_where_it_loses_nothing(exact):
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    keras.utils.set_random_seed(0)
    model = meta_tf.models.conv4(None, filters=16, input_shape=(16, 16, 3))
    for variable in model.variables:
        value = np.random.default_rng(0).uniform(0.5, 1.5, variable.shape).astype("float32")
        variable.assign(value.astype("float16") if exact else value)
    content = embed_file(model)
    stored = onnx.load_from_string(content).graph.initializer
    halves = [each for each in stored if each.data_type == onnx.TensorProto.FLOAT16]
    # Three kernels of 2304 numbers; fewer than 1024, as in the first, stay as they are.
    assert len(halves) == (3 if exact else 0)
    pixels = np.random.default_rng(1).uniform(size=[3, 16, 16, 3]).astype("float32")
    (found,) = onnxruntime.InferenceSession(content).run(None, {"pixels": pixels})
    np.testing.assert_allclose(found, model(pixels, training=False), rtol=1e-4)
