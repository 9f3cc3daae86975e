"""Checks that your own algorithms and task sources have the properties of the library's."""

from meta_tf.testing.check_algorithm import check_algorithm
from meta_tf.testing.check_source import check_source

__all__ = ["check_algorithm", "check_source"]
