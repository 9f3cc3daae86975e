"""`WholeExecutions`: the outer steps of one call of `fit`, as one XLA program.

For small dense networks a step takes less time than calling what it consists of: the tasks'
programs, the optimiser's and the metrics' operations. All of them, many steps over, are
compiled together, and read a stack of batches that the dataset makes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf

from meta_tf.batch.graph_nodes import graph_nodes
from meta_tf.types import Tensor, Tensors

Step: TypeAlias = Callable[[Any], tuple[dict[str, Tensor], Tensor]]
"""One outer step over a batch `(x, y)`, which changes variables. It returns logs, and whether what
it has changed them by is finite."""

_STACKED = "batches"  # the key that tells a stack of batches from a batch
# A stack is in memory three times: used, ready, and being made.
_MOST_BYTES = 64 * 2**20


class WholeExecutions:
    """A `train_function` for Keras, which runs stacks of batches as one program each.

    The steps are the same as one by one, and give the same weights but for rounding.

    Args:
      step: one outer step.
      variables: all that a step may change.
      looks_right: whether nothing is wrong with the values of batches. A program of XLA raises
        no errors; where something is, the steps run without it, up to the one that does. So they
        do, once more, where a step turns out not to be finite.
      otherwise: Keras's own function, for batches that are not stacked.
      steps: how many a call makes.
    """

    def __init__(
        self,
        step: Step,
        variables: Callable[[], list[Any]],
        looks_right: Callable[[Any], Tensor],
        otherwise: Callable[..., Any],
        steps: int,
    ):
        self._step = tf.function(step, autograph=False)
        self._variables = variables
        self._looks_right = tf.function(looks_right, autograph=False)
        self._otherwise = otherwise
        self._steps = steps
        self._program = tf.function(self._loop, jit_compile=True, autograph=False)
        self._without_xla = tf.function(self._loop, autograph=False)
        self.calls = 0  # that went through

    def stacked(self, data: Any) -> Any:
        """The dataset with its batches in stacks, or `data` as it is where that is of no use.

        It must be an endless `tf.data.Dataset`, as Keras counts the batches of others, of
        batches of one shape; and the tasks must be so small that XLA compiles them anyway.
        """
        if (
            not isinstance(data, tf.data.Dataset)
            or data.cardinality() != tf.data.INFINITE_CARDINALITY
        ):
            return data
        specs = tf.nest.flatten(data.element_spec)
        if not all(isinstance(s, tf.TensorSpec) and s.shape.is_fully_defined() for s in specs):
            return data
        if self._steps * sum(s.shape.num_elements() * s.dtype.size for s in specs) > _MOST_BYTES:
            return data
        if not _calls_xla(self._step.get_concrete_function(data.element_spec).graph):
            return data
        stacks = data.batch(self._steps, drop_remainder=True)
        return stacks.map(lambda *batches: {_STACKED: batches}).prefetch(1)

    def __call__(self, iterator: Iterator[Any]) -> Any:
        spec = getattr(iterator, "element_spec", None)
        if not isinstance(spec, dict) or _STACKED not in spec:
            return self._otherwise(iterator)
        batches = next(iterator)[_STACKED]
        if not self._looks_right(batches):
            return self._without_xla(batches)[0]
        try:
            logs, finite, before = self._program(batches)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            # XLA cannot compile a metric, say, of which nothing has been run then.
            if self.calls:
                raise
            self._program = self._without_xla
            logs, finite, before = self._program(batches)
        if not finite:
            for variable, value in zip(self._variables(), before, strict=True):
                variable.assign(value)
            return self._without_xla(batches)[0]
        self.calls += 1
        return logs

    def traces(self) -> int:
        """How many programs were made: one for each shape of batches."""
        return self._program.experimental_get_tracing_count()

    def _loop(self, batches: Tensors) -> Any:
        """The logs of the last step, whether all are finite, and the variables before."""
        before = [tf.identity(variable.value) for variable in self._variables()]

        def body(i: Tensor, *results: Any) -> tuple[Tensor, Any, Tensor]:
            del results  # those of the last step are kept
            return i + 1, *self._step(tf.nest.map_structure(lambda t: t[i], batches))

        one = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), batches)
        logs, _ = self._step.get_concrete_function(one).structured_outputs
        none = tf.nest.map_structure(lambda t: tf.zeros(t.shape, t.dtype), logs)
        _, logs, finite = tf.while_loop(
            lambda i, _, finite: finite & (i < self._steps),
            body,
            (tf.constant(0), none, tf.constant(True)),
            parallel_iterations=1,
        )
        return logs, finite, before


def _calls_xla(graph: Any) -> bool:
    """Whether a part of the graph is compiled by XLA."""
    return any(node.attr["_XlaMustCompile"].b for node in graph_nodes(graph.as_graph_def()))
