"""How well a learner learns new tasks: `evaluate`, its result, and metrics of tasks."""

from meta_tf.evaluation.evaluate import evaluate, mean_and_interval
from meta_tf.evaluation.result import Evaluation

__all__ = ["Evaluation", "evaluate", "mean_and_interval"]
