"""`WholeExecutions`: runs the outer steps of one execution of `fit` as one XLA program.

For small dense networks, a step takes less time than calling its parts: the tasks' programs and
the operations of the optimiser and the metrics. Here all of them, for many steps, are compiled
into one program. It reads a stack of batches, which the dataset prepares in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import tensorflow as tf

from meta_tf.network.graph_nodes import graph_nodes
from meta_tf.types import Tensor, Tensors

Step: TypeAlias = Callable[[Any], tuple[dict[str, Tensor], Tensor]]
"""One outer step over a batch `(x, y)`, which updates variables. It returns logs, and whether the
update is finite."""

_STACKED = "batches"  # the key that distinguishes a stack of batches from a batch
# Three stacks are in memory: one in use, one ready, one in preparation.
_MOST_BYTES = 64 * 2**20


class WholeExecutions:
    """A `train_function` for Keras that runs each stack of batches as one program.

    Apart from rounding, the weights are the same as after single steps.

    Args:
      step: one outer step.
      unchecked: the same without the errors that an XLA program cannot raise.
      variables: returns all variables that a step may change.
      looks_right: whether the values of a stack of batches are valid. An XLA program cannot
        raise errors; if values are invalid, the steps run without XLA, up to the one that
        raises. If an update is not finite, they run again without XLA.
      otherwise: Keras's own function, for batches that are not stacked.
      steps: the number of steps per call.
    """

    def __init__(
        self,
        step: Step,
        unchecked: Step,
        variables: Callable[[], list[Any]],
        looks_right: Callable[[Any], Tensor],
        otherwise: Callable[..., Any],
        steps: int,
    ):
        checked = tf.function(step, autograph=False)
        self._unchecked = tf.function(unchecked, autograph=False)
        self._variables = variables
        self._looks_right = tf.function(looks_right, autograph=False)
        self._otherwise = otherwise
        self._steps = steps
        self._program = tf.function(
            lambda batches: self._loop(self._unchecked, batches), jit_compile=True, autograph=False
        )
        self._without_xla = tf.function(
            lambda batches: self._loop(checked, batches), autograph=False
        )
        self.calls = 0  # completed calls

    def stacked(self, data: Any) -> Any:
        """The dataset with its batches in stacks, or `data` unchanged if that would not help.

        It must be an endless `tf.data.Dataset`, because Keras counts the batches of others, with
        batches of one shape; and the tasks must be small enough that XLA compiles them.
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
        if not _calls_xla(self._unchecked.get_concrete_function(data.element_spec).graph):
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
            # XLA cannot compile something, such as a metric; nothing has run yet.
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
        """The number of traced programs: one for each shape of batches."""
        return self._program.experimental_get_tracing_count()

    def _loop(self, step: Any, batches: Tensors) -> Any:
        """The logs of the last step, whether all updates are finite, and the variables before."""
        before = [tf.identity(variable.value) for variable in self._variables()]

        def body(i: Tensor, *results: Any) -> tuple[Tensor, Any, Tensor]:
            del results  # only those of the last step are kept
            return i + 1, *step(tf.nest.map_structure(lambda t: t[i], batches))

        one = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), batches)
        logs, _ = step.get_concrete_function(one).structured_outputs
        none = tf.nest.map_structure(lambda t: tf.zeros(t.shape, t.dtype), logs)
        _, logs, finite = tf.while_loop(
            lambda i, _, finite: finite & (i < self._steps),
            body,
            (tf.constant(0), none, tf.constant(True)),
            parallel_iterations=1,
        )
        return logs, finite, before


def _calls_xla(graph: Any) -> bool:
    """Whether XLA compiles a part of the graph."""
    return any(node.attr["_XlaMustCompile"].b for node in graph_nodes(graph.as_graph_def()))
