"""What the commands of the tests import, once: see `tests/command_line.py`."""

import contextlib
import gc

import tensorflow as tf

import meta_tf.command.adapt
import meta_tf.command.demo
import meta_tf.command.evaluate
import meta_tf.command.export
import meta_tf.command.train  # noqa: F401

with contextlib.suppress(ImportError):  # an extra
    import matplotlib.pyplot  # noqa: F401
tf.get_logger().setLevel("ERROR")  # as the command does
gc.freeze()
