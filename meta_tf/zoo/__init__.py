"""Trained learners that come with the library."""

from meta_tf.zoo.card import FOLDER, card, names
from meta_tf.zoo.pretrained import pretrained

__all__ = ["FOLDER", "card", "names", "pretrained"]
