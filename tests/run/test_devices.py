"""What the command sets up before TensorFlow works."""

import os
import subprocess
import sys

import pytest

SETTING = "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE"
# oneDNN tells on the standard output what it prepares ("create") and what it does ("exec").
PROGRAM = """
import tensorflow as tf
from meta_tf.run.devices import set_up_device

set_up_device("cpu")
tf.config.threading.set_inter_op_parallelism_threads(1)  # each thread prepares its own
x, kernel = tf.ones([5, 8, 8, 16]), tf.ones([3, 3, 16, 16])

@tf.function(autograph=False)
def gradients():
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME") ** 2)
    return tape.gradient(y, [x, kernel])

for _ in range(10):
    gradients()
print("from here on", flush=True)
gradients()
"""


def lines_of_a_later_call(users):
    """What oneDNN did for convolutions in the eleventh call, a line each."""
    # This process may have been set up already by a test of a command.
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    if users is not None:
        environment[SETTING] = users
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, "ONEDNN_VERBOSE": "profile_create,profile_exec"},
        capture_output=True,
        text=True,
        check=True,
    )
    later = done.stdout.partition("from here on")[2].splitlines()
    lines = [line for line in later if "convolution" in line]
    if not lines:
        pytest.skip("TensorFlow does not use oneDNN here")
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("users, prepared_again", [(None, False), ("true", True)])
def test_convolutions_stay_prepared_unless_the_user_says_otherwise(users, prepared_again):
    lines = lines_of_a_later_call(users)
    assert any("exec" in line for line in lines)
    assert any("create" in line for line in lines) == prepared_again
