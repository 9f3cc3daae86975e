"""The structure of a batch, and the letters for its axes.

`T` tasks in a batch · `S` support examples of a task · `Q` query examples of a
task · `N` ways (classes) · `K` shots (support examples of a class).

A batch is an ordinary Keras pair `(x, y)`, so `fit`, `evaluate` and `predict`
take it directly:

    x = {"support_x": [T, S, ...], "support_y": [T, S, ...], "query_x": [T, Q, ...]}
    y = query_y [T, Q, ...]

If tasks differ in size, `x` also has `support_size` and `query_size`, integers [T]: the number of
real examples of each task, which come first. The rest is padding.

A task is the same without the axis `T`. For a model with several inputs,
`support_x` and `query_x` are structures (a dict or a list) of such tensors.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

Tensor: TypeAlias = tf.Tensor
"""A TensorFlow tensor, or what converts to one: an array, a number."""

Tensors: TypeAlias = Any
"""A tensor, or a structure (a dict, list or tuple) of tensors that `tf.nest` accepts."""

Batch = tuple[dict[str, Tensors], Tensors]
"""`({"support_x", "support_y", "query_x"}, query_y)` with a task axis first."""


class Examples(NamedTuple):
    """The examples of one set of one task: `x` [S, ...] and `y` [S, ...]."""

    x: Tensors
    y: Tensors


class Weights(NamedTuple):
    """All values that determine a network's output, as plain tensors.

    `model`: the trainable weights, in the order of `model.trainable_variables`.
    `state`: the others (moving statistics, seeds), as in
    `model.non_trainable_variables`.
    `meta`: the algorithm's own values, by name: what it learns besides the weights (such as
    the step sizes of Meta-SGD), its non-trainable state, and what it computes from a
    support set in order to predict (such as prototypes).
    """

    model: list[Tensor]
    state: list[Tensor]
    meta: dict[str, Tensor]
