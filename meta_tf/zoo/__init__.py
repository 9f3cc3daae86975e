"""Trained learners that ship with the library."""

from meta_tf.zoo.calibrations import FOLDER, calibration_file, calibration_of
from meta_tf.zoo.card import card, characters, names
from meta_tf.zoo.pretrained import pretrained
from meta_tf.zoo.trained_on import OMNIGLOT, TrainedOn, trained_on

__all__ = [
    "FOLDER",
    "OMNIGLOT",
    "TrainedOn",
    "calibration_file",
    "calibration_of",
    "card",
    "characters",
    "names",
    "pretrained",
    "trained_on",
]
