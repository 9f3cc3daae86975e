"""How well a learner learns new tasks: `evaluate`, its result, and metrics of tasks."""

from meta_tf.evaluation.evaluate import Evaluation, evaluate, mean_and_interval

__all__ = ["Evaluation", "evaluate", "mean_and_interval"]
