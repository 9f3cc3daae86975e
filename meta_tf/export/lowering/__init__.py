"""A traced function written anew, in operations that runtimes other than TensorFlow have."""

from meta_tf.export.lowering.lower import lower as lower
