"""Trained learners that come with the library."""

from meta_tf.zoo.pretrained import FOLDER, names, pretrained

__all__ = ["FOLDER", "names", "pretrained"]
