"""The batch structure that everything here speaks, and its letters.

`T` tasks in a batch · `S` support examples of a task · `Q` query examples of a
task · `N` ways (classes) · `K` shots (support examples of a class).

A batch is an ordinary Keras pair `(x, y)`, so that `fit`, `evaluate` and
`predict` take it as they are:

    x = {"support_x": [T, S, ...], "support_y": [T, S, ...], "query_x": [T, Q, ...]}
    y = query_y [T, Q, ...]

Where tasks differ in size, `x` also has `support_size` and `query_size`, integers [T]: how many
examples of each task are real, the first ones. What stands behind them is padding.

A task is the same without the axis `T`. For a model of several inputs,
`support_x` and `query_x` are structures (a dict, a list) of such tensors.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

Tensor: TypeAlias = tf.Tensor
"""A tensor of TensorFlow, or what it takes for one: an array, a number."""

Tensors: TypeAlias = Any
"""A tensor, or a structure (a dict, a list, a tuple) of tensors, as `tf.nest` takes it."""

Batch = tuple[dict[str, Tensors], Tensors]
"""`({"support_x", "support_y", "query_x"}, query_y)` with a tasks axis in front."""


class Examples(NamedTuple):
    """The examples of one set of one task: `x` [S, ...] and `y` [S, ...]."""

    x: Tensors
    y: Tensors


class Weights(NamedTuple):
    """All that decides what a network computes, as plain tensors.

    `model`: the trainable weights, in the order of `model.trainable_variables`.
    `state`: the others (moving statistics, seeds), as in
    `model.non_trainable_variables`.
    `meta`: the algorithm's own, by name: what it learns besides the weights (the step
    sizes of Meta-SGD, say), what moves in training without being learned, and what it
    makes of a support set to predict with (prototypes, say).
    """

    model: list[Tensor]
    state: list[Tensor]
    meta: dict[str, Tensor]
