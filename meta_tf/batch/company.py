"""In whose company a query is predicted: whose statistics a transductive batch norm takes."""

from __future__ import annotations

import keras
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.network.network import Network
from meta_tf.types import Tensors, Weights

COMPANIES = ("queries", "support", "none")
"""`queries`: all queries of a task together, as published results are measured. `support`: each
query in a batch with the support set. `none`: each one alone."""


def predict_in_company(
    algorithm: Algorithm,
    network: Network,
    adapted: Weights,
    support_x: Tensors,
    query_x: Tensors,
    company: str,
) -> Tensors:
    """Predictions of a learned task for its query set.

    Only a batch normalisation in the mode `transductive` lets company matter; for any other
    network the three are the same, and computed at once.

    Args:
      algorithm: how the task was learned.
      network: the model and its loss.
      adapted: the weights after adaptation.
      support_x: inputs of the support set, [S, ...].
      query_x: inputs of the query set, [Q, ...].
      company: one of `COMPANIES`.

    Returns:
      The predictions, [Q, ...].
    """
    if company == "queries" or not feels_company(network):
        return algorithm.predict(network, adapted, query_x)

    def one(query: Tensors) -> Tensors:
        batch = beside(query, support_x if company == "support" else None)
        predictions = algorithm.predict(network, adapted, batch)
        return tf.nest.map_structure(lambda p: p[-1], predictions)

    shapes = algorithm.output_spec(network, query_x)
    spec = keras.tree.map_structure(lambda s: tf.TensorSpec(s.shape[1:], s.dtype), shapes)
    return tf.map_fn(one, query_x, fn_output_signature=spec)


def feels_company(network: Network) -> bool:
    """Whether what is predicted for a query depends on the others of its batch."""
    return bool(network.batch_norms) and network.batch_norm == "transductive"


def beside(query: Tensors, company: Tensors | None) -> Tensors:
    """A batch whose last example is the query [...], after those of the company [S, ...]."""
    last = tf.nest.map_structure(lambda q: q[None], query)
    if company is None:
        return last
    return tf.nest.map_structure(lambda c, q: tf.concat([c, q], 0), company, last)
