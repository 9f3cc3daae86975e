"""The public names of `meta_tf`."""

from meta_tf import algorithms, layers, models, tasks
from meta_tf.algorithms import *  # noqa: F403
from meta_tf.calibration import Calibration
from meta_tf.evaluation import Confidence, Evaluation, confidence, evaluate, leave_one_out, select
from meta_tf.gaussian import GaussianLoss, MeanAndScale
from meta_tf.layers import heads
from meta_tf.learner import MetaLearner
from meta_tf.learner.adapted_model import AdaptedModel
from meta_tf.zoo import pretrained

__all__ = [
    "AdaptedModel",
    "Calibration",
    "Confidence",
    "Evaluation",
    "GaussianLoss",
    "MeanAndScale",
    "MetaLearner",
    "confidence",
    "evaluate",
    "heads",
    "layers",
    "leave_one_out",
    "models",
    "pretrained",
    "select",
    "tasks",
]
# Everything in `algorithms` is public, so a new algorithm need not be listed here.
__all__ += [name for name, thing in vars(algorithms).items() if callable(thing)]
