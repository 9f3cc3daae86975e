"""The model's state (moving statistics, counters) after tasks that each moved it."""

from __future__ import annotations

import keras

from meta_tf.types import Tensor


def split_state(
    before: list[Tensor], after: list[Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """How far a task moved the state, and what it counted: `(moved, counters)`.

    Moves can be averaged over tasks; a counter cannot. Both are dicts by position among
    `model.non_trainable_variables`.
    """
    moved, counters = {}, {}
    for i, (b, a) in enumerate(zip(before, after, strict=True)):
        if b.dtype.is_floating:
            # As a difference, so that a frozen weight stays what it is to the last bit.
            moved[str(i)] = a - b
        else:
            counters[str(i)] = a
    return moved, counters


def store_state(
    model: keras.Model,
    moved: dict[str, Tensor],
    counters: dict[str, Tensor],
    seeds: dict[str, Tensor],
) -> None:
    """Moves the model's state by the tasks' mean; counters [T, ...] become the last task's."""
    for i, variable in enumerate(model.non_trainable_variables):
        if str(i) in seeds:
            variable.assign(seeds[str(i)])
        elif str(i) in moved:
            variable.assign_add(moved[str(i)])
        else:
            variable.assign(counters[str(i)][-1])
