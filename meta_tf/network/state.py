"""Updates the model's state (moving averages, counters) after the tasks of a batch."""

from __future__ import annotations

import keras

from meta_tf.types import Tensor


def split_state(
    before: list[Tensor], after: list[Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A task's changes of the state, and its counters: `(moved, counters)`.

    Changes can be averaged over tasks; a counter cannot. Both are dicts by position in
    `model.non_trainable_variables`.
    """
    moved, counters = {}, {}
    for i, (b, a) in enumerate(zip(before, after, strict=True)):
        if b.dtype.is_floating:
            # As a difference, so that a frozen weight stays the same bit for bit.
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
    """Adds the tasks' mean change to the state; counters [T, ...] become the last task's."""
    for i, variable in enumerate(model.non_trainable_variables):
        if str(i) in seeds:
            variable.assign(seeds[str(i)])
        elif str(i) in moved:
            variable.assign_add(moved[str(i)])
        else:
            variable.assign(counters[str(i)][-1])
