"""The public names, all of which `import meta_tf` offers."""

from meta_tf import algorithms, layers, models, tasks
from meta_tf.adapted_model import AdaptedModel
from meta_tf.algorithms import *  # noqa: F403
from meta_tf.evaluation import Evaluation, evaluate
from meta_tf.gaussian import GaussianLoss, MeanAndScale
from meta_tf.layers import heads
from meta_tf.learner import MetaLearner
from meta_tf.zoo import pretrained

__all__ = [
    "AdaptedModel",
    "Evaluation",
    "GaussianLoss",
    "MeanAndScale",
    "MetaLearner",
    "evaluate",
    "heads",
    "layers",
    "models",
    "pretrained",
    "tasks",
]
# What the algorithms' room offers is public: a new algorithm is not listed a second time.
__all__ += [name for name, thing in vars(algorithms).items() if callable(thing)]
