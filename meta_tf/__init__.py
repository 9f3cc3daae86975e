"""Meta-learning for TensorFlow 2 and Keras 3: any Keras model learns from a handful of examples."""

from meta_tf import layers, models, tasks
from meta_tf.adapted_model import AdaptedModel
from meta_tf.algorithms import (
    ANIL,
    BOIL,
    FOMAML,
    IMAML,
    MAML,
    R2D2,
    Algorithm,
    MAMLPlusPlus,
    MatchingNet,
    MetaCurvature,
    MetaSGD,
    ProtoMAML,
    ProtoNet,
    Reptile,
)
from meta_tf.evaluation import Evaluation, evaluate
from meta_tf.layers import heads
from meta_tf.learner import MetaLearner
from meta_tf.zoo import pretrained

__version__ = "0.1.0"

__all__ = [
    "ANIL",
    "BOIL",
    "FOMAML",
    "IMAML",
    "MAML",
    "R2D2",
    "AdaptedModel",
    "Algorithm",
    "Evaluation",
    "MAMLPlusPlus",
    "MatchingNet",
    "MetaCurvature",
    "MetaLearner",
    "MetaSGD",
    "ProtoMAML",
    "ProtoNet",
    "Reptile",
    "evaluate",
    "heads",
    "layers",
    "models",
    "pretrained",
    "tasks",
]
