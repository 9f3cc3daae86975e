"""One model: a Keras model and its loss as pure functions of the weights, exact at every order."""

from meta_tf.network.network import Network

__all__ = ["Network"]
