"""How well a learner learns new tasks: `evaluate`, its result, and metrics of tasks."""

from meta_tf.evaluation.confidence import Confidence, confidence
from meta_tf.evaluation.evaluate import evaluate
from meta_tf.evaluation.leave_one_out import leave_one_out
from meta_tf.evaluation.metrics import mean_and_interval
from meta_tf.evaluation.result import Evaluation
from meta_tf.evaluation.select import select

__all__ = [
    "Confidence",
    "Evaluation",
    "confidence",
    "evaluate",
    "leave_one_out",
    "mean_and_interval",
    "select",
]
