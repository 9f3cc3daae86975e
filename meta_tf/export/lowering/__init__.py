"""Rewrites a traced function in operations that runtimes other than TensorFlow support."""

from meta_tf.export.lowering.lower import Lowered as Lowered
from meta_tf.export.lowering.lower import inputs_of as inputs_of
from meta_tf.export.lowering.lower import lower as lower
