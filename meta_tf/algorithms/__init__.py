"""Algorithms of meta-learning, one a file, each a frozen dataclass of settings."""

from meta_tf.algorithms.base import Algorithm
from meta_tf.algorithms.imaml import IMAML
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.algorithms.maml import ANIL, BOIL, FOMAML, MAML, MetaSGD
from meta_tf.algorithms.mamlpp import MAMLPlusPlus
from meta_tf.algorithms.matching_net import MatchingNet
from meta_tf.algorithms.meta_curvature import MetaCurvature
from meta_tf.algorithms.protomaml import ProtoMAML
from meta_tf.algorithms.protonet import ProtoNet
from meta_tf.algorithms.r2d2 import R2D2
from meta_tf.algorithms.reptile import Reptile

__all__ = [
    "ANIL",
    "BOIL",
    "FOMAML",
    "IMAML",
    "MAML",
    "R2D2",
    "Algorithm",
    "InnerLoop",
    "LoopState",
    "MAMLPlusPlus",
    "MatchingNet",
    "MetaCurvature",
    "MetaSGD",
    "ProtoMAML",
    "ProtoNet",
    "Reptile",
]
