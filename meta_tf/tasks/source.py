"""A source of tasks: its three splits, and the shapes needed to build a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf

from meta_tf.tasks.size_range import SizeRange
from meta_tf.tasks.split import Split

if TYPE_CHECKING:
    from meta_tf.tasks.columns import Columns

Kind = Literal["classification", "regression"]
SPLITS = ("train", "valid", "test")


class Source:
    """Training, validation and test tasks of one family.

    The splits have no class in common; splits of a formula have no random number in common.

    Attributes:
      train, valid, test: the three `Split`s.
      kind: "classification" (integer labels 0 … N - 1) or "regression".
      ways: N, classes per task; `None` for regression.
      shots: support examples per task; for classification, per class.
      queries: query examples per task; for classification, per class. If `ways`, `shots` or
        `queries` is a range, the attribute is its largest number.
      input_shape: shape of one example.
      target_shape: shape of one target; `()` for class labels.
      columns: the `meta_tf.tasks.columns.Columns` of a table; None for other sources.

    Args:
      kind, shots, queries, ways: as above.
      splits: the training, validation and test split.
    """

    def __init__(
        self,
        kind: Kind,
        splits: Sequence[Split],
        *,
        shots: SizeRange,
        queries: SizeRange,
        ways: SizeRange | None = None,
    ):
        self.train, self.valid, self.test = splits
        self.columns: Columns | None = None  # of a table
        self.kind = kind
        self.ways, self.shots, self.queries = (
            size[1] if isinstance(size, Sequence) else size for size in (ways, shots, queries)
        )
        x, query_y = self.train.task_spec
        self.input_shape: Any = tf.nest.map_structure(_example_shape, x["query_x"])
        self.target_shape: Any = tf.nest.map_structure(_example_shape, query_y)

    def __repr__(self) -> str:
        ways = "" if self.ways is None else f"ways={self.ways}, "
        return (
            f"{type(self).__name__}({ways}shots={self.shots}, queries={self.queries}, "
            f"kind={self.kind!r}, input_shape={self.input_shape})"
        )


def _example_shape(spec: tf.TensorSpec) -> tuple[int, ...]:
    return tuple(spec.shape[1:])
