"""A Keras model and its loss as pure functions of the weights, with exact derivatives."""

from meta_tf.network.network import Network

__all__ = ["Network"]
