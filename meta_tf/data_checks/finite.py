"""Checks that examples, losses, gradients and weights are finite: neither NaN nor infinite.

Finite predictions are not enough: a compiled ReLU turns NaN into 0. Therefore the examples
themselves are checked wherever they enter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.algorithms import Algorithm, InnerLoop
from meta_tf.network.finite import all_finite
from meta_tf.require import after, require, unless
from meta_tf.types import Tensor, Tensors, Weights


class DivergedStepError(ValueError):
    """`fit` stops because losses, gradients or weights are NaN or infinite."""

    @property
    def what(self) -> str:
        """A short description of what is not finite."""
        task = re.search(r"task \d+ of the batch", str(self))
        return f"the loss or a gradient of {task[0]}" if task else "a weight"


def as_error(message: str) -> ValueError:
    """The error for a message from inside a compiled step."""
    return DivergedStepError(message) if message.startswith("`fit` must") else ValueError(message)


def require_finite(sets: dict[str, Tensors], axes: int, first: int = 0) -> Any:
    """Raises ValueError if examples are NaN or infinite, and names the first of them.

    `sets` are structures of tensors by name; `axes` is 2 for batches [T, S, ...], whose tasks count
    from `first`, 1 for the examples of one task, [S, ...]. Returns what `require` does.
    """
    floats = [
        (name, t)
        for name, tensors in sets.items()
        for t in tf.nest.flatten(tensors)
        if t.dtype.is_floating
    ]
    if tf.executing_eagerly():
        for name, t in floats:
            right = np.isfinite(t.numpy())
            if not right.all():
                require(False, *_not_finite(name, np.argwhere(~right)[0][:axes], first))
        return None

    def look() -> Tensor:
        checks = []
        for name, t in floats:
            right = tf.math.reduce_all(tf.math.is_finite(t), axis=range(axes, t.shape.rank))
            number = tf.argmax(tf.cast(~tf.reshape(right, [-1]), tf.int32))  # the first invalid one
            number = tf.cast(number, tf.int32)
            examples = tf.shape(right)[-1]
            place = [number // examples, number % examples][-axes:]
            checks.append(require(right, *_not_finite(name, place, first)))
        return after(checks, tf.constant(True))

    # Computed only if there is one.
    return tf.cond(all_finite([t for _, t in floats]), lambda: tf.constant(True), look)


def require_finite_step(
    algorithm: Algorithm, weights: Weights, finite: Tensor, first_wrong: Tensor
) -> Any:
    """Raises ValueError unless the results of all tasks are finite, or names the first that is not.

    `weights` are those before the step. Returns what `unless` does.
    """

    def explain(weights: Weights, first_wrong: Tensor) -> None:
        if not all_finite(weights):
            raise DivergedStepError(
                "`fit` must start a step from finite weights. Received: weights of the learner "
                "that are nan or infinite. Build or load it again; if training caused this, lower "
                "the optimizer's learning rate."
            )
        cure = "Lower the optimizer's learning rate, set its `global_clipnorm`, or scale the "
        cure += "examples."
        if isinstance(algorithm, InnerLoop):
            cure = f"Its inner loop diverges: lower `inner_lr` or use fewer `inner_steps`. {cure}"
        raise DivergedStepError(
            "`fit` must have finite losses and gradients, and stops before this step changes the "
            "weights. Received: some that are nan, infinite or too large to be squared, for finite "
            f"examples, first in task {int(first_wrong)} of the batch (counted from 0). {cure}"
        )

    return unless(finite, explain, weights, first_wrong)


def check_trained(weights: Weights) -> None:
    """Raises ValueError unless `fit` ends with finite weights."""
    if not all_finite(weights):
        raise DivergedStepError(
            "`fit` must end with finite weights. Received: some that are nan or infinite after its "
            "last step. Build or load the learner again, and lower the optimizer's learning rate.",
        )


def _not_finite(name: str, place: Sequence[Any], first: int) -> list[str | Tensor]:
    """The parts of the error for the example at `place`, `[task, example]` or `[example]`."""
    task = [" of task ", place[0] + first] if len(place) == 2 else []
    return [
        f"`{name}` must be finite. Received: values that are nan or infinite, first in example ",
        place[-1],
        *task,
        " (counted from 0). Remove or replace them.",
    ]
