"""The sizes and the precision of an export to another runtime."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from meta_tf.checks import check_integer
from meta_tf.export.specs import output_shape
from meta_tf.network.check_loss import loss_function

_CLASSIFYING = (
    keras.losses.categorical_crossentropy,
    keras.losses.sparse_categorical_crossentropy,
)


@dataclasses.dataclass(frozen=True)
class Request:
    """The sizes and the precision of an export.

    Args:
      ways: classes per task; the learner's own if None, and 1 for regression.
      shots: support examples per class; any number if None.
      queries: examples to predict in one call; any number if `shots` is None.
      float16: whether to store the weights in half the bytes.

    Raises:
      ValueError: if a number is not an integer of at least 1.
    """

    ways: int | None = None
    shots: int | None = 1
    queries: int = 6
    float16: bool = False

    def __post_init__(self) -> None:
        for name in ("ways", "shots"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), at_least=1)
        check_integer("queries", self.queries, at_least=1)

    @property
    def any_sizes(self) -> bool:
        """Whether the numbers of examples are chosen at run time."""
        return self.shots is None

    def fixed_sizes(self) -> dict[str, int]:
        """The requested sizes that differ from the defaults, by name."""
        chosen = {"ways": self.ways, "shots": self.shots, "queries": self.queries}
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {n: v for n, v in chosen.items() if v is not None and v != defaults[n]}

    def ways_of(self, learner: Any, inputs: Any) -> int:
        """The number of classes per task: as requested, or else the learner's.

        Raises:
          ValueError: if more classes are requested than the learner has.
        """
        most = classes(learner, inputs)
        if self.ways and most and self.ways > most:
            raise ValueError(
                f"`ways` must be at most {most}, the number of classes that this learner "
                f"distinguishes. Received: {self.ways}."
            )
        return self.ways or most or 1

    def sizes_to_try(self, ways: int) -> list[tuple[int, int]]:
        """The numbers of support and query examples, [(S, Q), …], to test a file with."""
        if self.shots is not None:
            return [(ways * self.shots, self.queries)]
        return [(ways, self.queries), (ways, 1), (3 * ways, 7), (2 * ways + 1, 2 * ways)]


def classes(learner: Any, inputs: Any) -> int | None:
    """The number of classes that a learner distinguishes; None if it is not a classifier.

    Args:
      learner: a `MetaLearner`.
      inputs: `tf.TensorSpec` of a batch of its inputs, in the model's structure.
    """
    if loss_function(learner.network.loss) in _CLASSIFYING:
        return output_shape(learner, inputs)[-1]
    return learner.algorithm.prediction_size(learner.network)
