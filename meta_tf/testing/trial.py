"""`Trial`: a model and tasks on which an algorithm's properties are checked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.learner import MetaLearner
from meta_tf.tasks import Source
from meta_tf.types import Batch

TASKS = 3


class Trial(NamedTuple):
    """An algorithm to try: `model` and `source` make a new built model, and the tasks."""

    algorithm: Algorithm
    model: Callable[[], keras.Model]
    source: Callable[[], Source]
    loss: Any
    batch_norm: str = "transductive"

    def learner(self) -> MetaLearner:
        """A new learner, always with the same weights."""
        keras.utils.set_random_seed(0)
        learner = MetaLearner(
            self.model(), self.algorithm, self.loss, batch_norm=self.batch_norm, name="learner"
        )
        # Biases of 0 and scales of 1 would hide errors.
        rng = np.random.default_rng(0)
        for v in learner.model.trainable_variables:
            v.assign(v + 0.1 * rng.standard_normal(v.shape))
        return learner

    def batches(self, start: int = 0, tasks: int = TASKS) -> tf.data.Dataset:
        """Batches of tasks, in the current float type."""
        floating = keras.config.floatx()

        def cast(t: tf.Tensor) -> tf.Tensor:
            return tf.cast(t, floating) if t.dtype.is_floating else t

        return (
            self.source()
            .train.batches(tasks, seed=0, start=start)
            .map(lambda x, y: tf.nest.map_structure(cast, (x, y)))
        )

    def batch(self) -> Batch:
        """The first batch, `(x, y)`."""
        return next(iter(self.batches()))


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Makes float64 Keras's float type temporarily, so that rounding hides nothing."""
    floating, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floating)
        keras.config.set_dtype_policy(policy)
