"""Which examples share a query's batch, and so its statistics in transductive batch norm."""

from __future__ import annotations

import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.network.masks import packed, unpacked
from meta_tf.network.network import Network
from meta_tf.types import Tensors, Weights

BATCH_WITH = ("queries", "support", "none")
"""`queries`: all queries of a task together, as in published results. `support`: each query
in one batch with the support set. `none`: each query alone."""


def predict_queries(
    algorithm: Algorithm,
    network: Network,
    adapted: Weights,
    support_x: Tensors,
    query_x: Tensors,
    batch_with: str,
) -> Tensors:
    """Predictions of a learned task for its query set.

    The three choices differ only for a batch normalisation in the mode `transductive`; for other
    networks, all queries are predicted at once.

    Args:
      algorithm: the algorithm that learned the task.
      network: the model and its loss.
      adapted: the weights after adaptation.
      support_x: inputs of the support set, [S, ...].
      query_x: inputs of the query set, [Q, ...].
      batch_with: one of `BATCH_WITH`.

    Returns:
      The predictions, [Q, ...].
    """
    if batch_with == "queries" or not depends_on_batch(network):
        return algorithm.predict(network, adapted, query_x)

    def one(query: Tensors) -> tuple[Tensors, ...]:
        alone = tf.nest.map_structure(lambda q: q[None], query)
        batch = in_batch(alone, support_x if batch_with == "support" else None)
        predictions = packed(algorithm.predict(network, adapted, batch))
        return tf.nest.map_structure(lambda p: p[-1], predictions)

    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), query_x)
    program = tf.function(one, autograph=False).get_concrete_function(specs)
    # The traced shape: algorithms do not declare how they change a prediction's shape or mask.
    spec = tf.nest.map_structure(
        lambda p: tf.TensorSpec(p.shape, p.dtype), program.structured_outputs
    )
    return unpacked(tf.map_fn(program, query_x, fn_output_signature=spec))


def depends_on_batch(network: Network) -> bool:
    """Whether the prediction for a query depends on the other examples of its batch."""
    return bool(network.batch_norms) and network.batch_norm == "transductive"


def in_batch(query: Tensors, others: Tensors | None) -> Tensors:
    """A batch of other inputs [S, ...], if there are any, followed by the query [1, ...]."""
    if others is None:
        return query
    return tf.nest.map_structure(lambda o, q: tf.concat([o, q], 0), others, query)
