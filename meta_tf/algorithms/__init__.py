"""Algorithms of meta-learning, one a file, each a frozen dataclass of settings."""

from meta_tf.algorithms.base import Algorithm
from meta_tf.algorithms.maml import ANIL, BOIL, FOMAML, MAML, MetaSGD
from meta_tf.algorithms.reptile import Reptile

__all__ = ["ANIL", "BOIL", "FOMAML", "MAML", "Algorithm", "MetaSGD", "Reptile"]
