"""Makes the environment of the tests stricter than that of production.

Warnings are errors (`pyproject.toml`), code that AutoGraph cannot convert is an
error, the CPU counts as two devices, and no test sees what another has left.
"""

import gc
import os

os.environ["AUTOGRAPH_STRICT_CONVERSION"] = "1"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


def pytest_configure(config):
    """Sets TensorFlow up in each process that runs tests; importing it takes seconds."""
    starts_others = config.getoption("numprocesses", 0) and not hasattr(config, "workerinput")
    if starts_others and not config.option.collectonly:
        return
    import keras  # noqa: F401
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    gc.freeze()  # or every full collection would look through all of TensorFlow


@pytest.fixture(autouse=True)
def fresh_keras():
    """Gives each test the same seed and the default names, precision and float type.

    The names matter: they reach TensorFlow's graph optimiser, and a model that
    is called `dense_2` may differ in the last bit from its twin `dense`.
    """
    import keras

    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
