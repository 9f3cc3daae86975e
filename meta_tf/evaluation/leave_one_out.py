"""`leave_one_out`: predicts each support example of a task after learning from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from meta_tf.data_checks.outputs import wants_labels
from meta_tf.learner import MetaLearner
from meta_tf.learner.embedded import embedded, embeds_separately, head_of
from meta_tf.learner.support_set import read_support_set
from meta_tf.types import Examples


def leave_one_out(
    learner: MetaLearner,
    support_x: Any,
    support_y: Any = None,
    steps: int | None = None,
    which: Sequence[int] | None = None,
) -> np.ndarray:
    """Predicts each support example after learning from the others.

    It shows how well a learner learns a task for which there are no query examples with
    targets. The estimate is slightly pessimistic, because each model learns from one example
    less. Use it if the support set has at least two examples of each class: a class cannot be
    learned without its only example.

    An `EmbeddingLearner` whose embeddings do not depend on the other examples, such as one with
    a frozen network, runs its network once for each example; other learners run it for all
    examples each time.

    Args:
      learner: the learner.
      support_x: inputs of the support set, [S, ...], at least two; or pictures, a folder of classes
        or a dict of them, as `learner.adapt` takes them.
      support_y: its targets, [S, ...]; class numbers or names for a classifier. None if
        `support_x` contains the classes.
      steps: inner steps; the algorithm's `eval_steps` if None.
      which: the numbers of the examples to predict, [Q]; all if None.

    Returns:
      Predictions [Q, ...] as `learner.adapt(...).predict` returns them; for a classifier with
      logits of all classes up to the last one of the support set.

    Raises:
      ValueError: if there are fewer than two examples, or they do not fit the learner.

    Example:
      >>> model = meta_tf.models.mlp((1,), 3, hidden=(8,))
      >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
      >>> learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=2), loss)
      >>> leave_one_out(learner, [[0.0], [0.1], [0.9], [1.0]], [0, 0, 1, 1]).argmax(-1)
      array([0, 0, 1, 1])
    """
    task = read_support_set(
        learner.algorithm, learner.network, learner.pictures, support_x, support_y
    )
    support, names = task.examples, task.names
    number = int(support.y.shape[0])
    if number < 2:
        raise ValueError(
            "`support_x` must hold at least two examples, to learn from one and predict the "
            f"other. Received: {number}."
        )
    if not names and wants_labels(learner.algorithm, learner.network):
        # As many outputs without the last class.
        names = tuple(map(str, range(int(tf.reduce_max(support.y)) + 1)))
    if embeds_separately(learner):
        support = Examples(embedded(learner, support), support.y)
        learner = head_of(learner)
    outputs = []
    for i in range(number) if which is None else which:
        others = [n for n in range(number) if n != i]
        x, y = tf.nest.map_structure(lambda t, at=others: tf.gather(t, at), tuple(support))
        one = tf.nest.map_structure(lambda t, i=i: t[i : i + 1], support.x)
        fitted = learner.adapt(x, y, steps, names or None)
        outputs.append(fitted.predict_one_by_one(one, batch_with=x))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)
