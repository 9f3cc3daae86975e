"""Meta-learning for TensorFlow 2 and Keras 3: any Keras model learns from a handful of examples."""

from meta_tf import layers, models, tasks
from meta_tf.adapted import AdaptedModel
from meta_tf.algorithms import ANIL, BOIL, FOMAML, MAML, Algorithm, MetaSGD, Reptile
from meta_tf.evaluation import Evaluation, evaluate
from meta_tf.learner import MetaLearner

__version__ = "0.1.0"

__all__ = [
    "ANIL",
    "BOIL",
    "FOMAML",
    "MAML",
    "AdaptedModel",
    "Algorithm",
    "Evaluation",
    "MetaLearner",
    "MetaSGD",
    "Reptile",
    "evaluate",
    "layers",
    "models",
    "tasks",
]
