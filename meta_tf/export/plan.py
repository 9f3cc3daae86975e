"""`Plan`: a learner's functions for a runtime other than TensorFlow, and their test run."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from meta_tf.data_checks.outputs import classes_of
from meta_tf.export.compare import ROUNDED_TOLERANCE, TOLERANCE, Run, compare
from meta_tf.export.lowering import Lowered, lower
from meta_tf.export.random_tasks import RandomTasks
from meta_tf.export.request import Request
from meta_tf.export.signatures import Signatures
from meta_tf.export.specs import input_specs, target_spec
from meta_tf.learner import MetaLearner


class Plan:
    """The functions of an export, and their comparison with TensorFlow.

    Args:
      learner: a `MetaLearner`.
      request: the sizes and the precision.
      input_signature: as for `meta_tf.export.saved_model.save`.
      target_signature: likewise.

    Attributes:
      takes: the numbers of examples that the functions take, in words.
    """

    def __init__(
        self,
        learner: MetaLearner,
        request: Request,
        input_signature: Any = None,
        target_signature: Any = None,
    ):
        inputs = input_specs(learner.algorithm, learner.network, input_signature)
        targets = target_spec(learner, inputs, target_signature)
        ways = request.ways_of(learner, inputs)
        self.request = request
        self._learner = learner
        numbers = _numbers(inputs)
        tried = request.ways_to_try(ways, numbers)
        self._classes = tried if classes_of(learner.algorithm, learner.network, inputs) else None
        self._sizes = request.sizes_to_try(tried)
        self._agreeing = request.tasks_to_agree(len(self._sizes), numbers)
        self.takes = request.in_words(ways)
        support, query = request.support(ways), request.queries
        self._signatures = signatures = Signatures(learner, inputs, targets, support, query)
        self._functions = {**signatures.three(), **signatures.on_embeddings()}
        if request.int8 and any(kind == "model" for kind, _ in signatures.made):
            raise ValueError(
                "`int8` needs a learner whose network does not change when it learns a task, such "
                f"as R2D2 or ProtoNet. Received: {type(learner.algorithm).__name__}, whose weights "
                "would be needed in float32 too. Pass float16=True instead."
            )

    def lowered(self) -> dict[str, Lowered]:
        """The functions by name, in simple operations.

        Raises:
          Refused: if an operation cannot be exported.
        """
        return {name: lower(function) for name, function in self._functions.items()}

    def compare(self, run: Run) -> float:
        """The largest relative difference between the runtime and TensorFlow.

        Args:
          run: `outputs = run(signature, inputs)` in the runtime, both by name.

        Raises:
          Refused: if the difference is too large.
        """
        rounded = self.request.float16 or self.request.int8
        tolerance = ROUNDED_TOLERANCE if rounded else TOLERANCE
        tasks = RandomTasks(self._functions["adapt_and_predict"], self._learner, self._classes)
        return compare(run, self._functions, tasks, self._sizes, tolerance, self._agreeing)


def _numbers(inputs: Any) -> int:
    """The numbers in one example, with unknown sizes as 1."""
    shapes = [spec.shape[1:] for spec in tf.nest.flatten(inputs)]
    return sum(math.prod(size or 1 for size in shape) for shape in shapes)
