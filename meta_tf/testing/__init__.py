"""Checks of algorithms and task sources of your own: the properties that the library's have."""

from meta_tf.testing.check_algorithm import check_algorithm
from meta_tf.testing.check_source import check_source

__all__ = ["check_algorithm", "check_source"]
