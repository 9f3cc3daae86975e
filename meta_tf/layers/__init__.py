"""Keras layers for any model: a dense layer, and classifiers computed from a support set."""

from meta_tf.layers.dense import MetaDense

__all__ = ["MetaDense"]
