"""Trained learners that ship with the library."""

from meta_tf.zoo.card import FOLDER, card, characters, names
from meta_tf.zoo.pretrained import pretrained
from meta_tf.zoo.trained_on import OMNIGLOT, TrainedOn, trained_on

__all__ = [
    "FOLDER",
    "OMNIGLOT",
    "TrainedOn",
    "card",
    "characters",
    "names",
    "pretrained",
    "trained_on",
]
