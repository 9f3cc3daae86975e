"""`TaskValues`: the weights of an adapted model, as tensors until Keras variables are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from meta_tf.types import Tensor, Weights


class TaskValues:
    """The weights that were learned for a task.

    They are plain tensors, which cost nothing to create, until `make_variables` replaces them.

    Args:
      learned: the weights, as tensors.
      owner: the Keras model that has the variables.
      measure: computes further values of `Weights.meta` from the weights, when they are first
        needed; None if there are none.
    """

    def __init__(
        self,
        learned: Weights,
        owner: keras.Model,
        measure: Callable[[Weights], dict[str, Tensor]] | None = None,
    ):
        self._learned: Weights | None = learned  # None once there are variables
        self._owner = owner
        self._measure = measure
        self._changing = threading.RLock()

    def now(self) -> Weights:
        """The weights, as tensors."""
        learned = self._learned  # read once: another thread may be creating the variables
        if learned is not None:
            return learned
        own = self._own
        return Weights(
            [tf.convert_to_tensor(v.value) for v in own.model],
            [tf.convert_to_tensor(v.value) for v in own.state],
            {name: tf.convert_to_tensor(v.value) for name, v in own.meta.items()},
        )

    def measured(self) -> Weights:
        """The weights, with those that `measure` computes."""
        if self._measure is not None:
            with self._changing, tf.init_scope():
                if self._measure is not None and self._learned is not None:
                    meta = {**self._learned.meta, **self._measure(self._learned)}
                    self._learned = self._learned._replace(meta=meta)
                self._measure = None
        return self.now()

    def of(self, model: keras.Model) -> Iterator[tuple[keras.Variable, Tensor]]:
        """The variables of a model, each with the value that was learned for it."""
        values = self.now()
        yield from zip(model.trainable_variables, values.model, strict=True)
        yield from zip(model.non_trainable_variables, values.state, strict=True)

    def make_variables(self, model: keras.Model, check: Callable[[], None]) -> None:
        """Replaces the tensors by Keras variables, once.

        Args:
          model: the model whose variables have these names, regularisers and constraints.
          check: is called before.
        """
        if self._learned is None:
            return
        with self._changing:
            if self._learned is None:  # another thread has created them
                return
            check()
            learned = self.measured()
            trained = zip(model.trainable_variables, learned.model, strict=True)
            others = zip(model.non_trainable_variables, learned.state, strict=True)
            with tf.init_scope():
                self._own: Any = Weights(
                    [self._variable(v.path, w, v) for v, w in trained],
                    [self._variable(v.path, w) for v, w in others],
                    {name: self._variable(name, w) for name, w in learned.meta.items()},
                )
            self._learned = None  # last: once it is None, the variables exist

    def _variable(
        self, path: str, value: Tensor, trained: keras.Variable | None = None
    ) -> keras.Variable:
        """A variable of this value; trainable like `trained`, if that is given."""
        return self._owner.add_weight(
            name=path.replace("/", "_"),
            shape=value.shape,
            dtype=value.dtype.name,
            initializer=lambda shape, dtype=None: tf.cast(value, dtype),
            trainable=trained is not None,
            regularizer=trained.regularizer if trained is not None else None,
            constraint=trained.constraint if trained is not None else None,
            autocast=False,
        )
