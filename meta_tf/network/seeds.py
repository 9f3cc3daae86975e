"""Seeds of dropout and similar layers: one for each task, and saved with the model.

Keras keeps such a seed in a variable [2] that is not among any layer's weights: checkpoints
do not contain it, and tasks that share it would share their dropout masks.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.random_numbers import PHILOX
from meta_tf.types import Tensor

_KEY = "seed_"


def seed_positions(model: keras.Model) -> list[int]:
    """The indices of seeds in `model.non_trainable_variables`."""
    return [
        i
        for i, v in enumerate(model.non_trainable_variables)
        if v.path.split("/")[-1] == "seed_generator_state"
    ]


def split_seeds(
    positions: list[int], state: list[Tensor], tasks: int | Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Draws a seed for each task, and the next state of the generator: `(seeds, next seeds)`.

    Both are dicts by position (see `seed_positions`): tensors [T, 2] and tensors [2].
    """
    seeds, following = {}, {}
    for i in positions:
        # Below 2³¹, because Keras casts a seed to int32 before use.
        drawn = tf.random.stateless_uniform(
            [tasks + 1, 2], tf.cast(state[i], tf.int64), 0, 2**31 - 1, tf.int64, alg=PHILOX
        )
        drawn = tf.cast(drawn, state[i].dtype)
        seeds[str(i)], following[str(i)] = drawn[:-1], drawn[-1]
    return seeds, following


def with_seeds(state: list[Tensor], seeds: dict[str, Tensor]) -> list[Tensor]:
    """The state with its seeds replaced by these."""
    return [seeds.get(str(i), s) for i, s in enumerate(state)]


def load_seeds(model: keras.Model, store: Any) -> dict[str, Any]:
    """Loads the model's seeds as earlier versions saved them; returns the rest of the store.

    The current version saves them with `layer_state.ExactState`.
    """
    kept = {key: store[key] for key in store.keys()}  # noqa: SIM118 - a store is not a dict
    for i in seed_positions(model):
        if f"{_KEY}{i}" in kept:
            model.non_trainable_variables[i].assign(kept[f"{_KEY}{i}"])
    return {key: value for key, value in kept.items() if not key.startswith(_KEY)}
