"""The public names, all of which `import meta_tf` offers."""

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
