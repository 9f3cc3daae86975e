"""The network that `MetaLearner.standardize` builds: it takes tasks in their own units."""

from __future__ import annotations

import dataclasses
from typing import Any

from meta_tf.algorithms import Algorithm
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.checks import check_switch
from meta_tf.data_checks.outputs import wants_labels
from meta_tf.layers.table_columns import TableColumns
from meta_tf.network.network import Network
from meta_tf.network.standardized import standardize_layer, standardized_model, statistics_of
from meta_tf.network.standardized_loss import StandardizedLoss
from meta_tf.tasks.columns import Columns
from meta_tf.tasks.split import Split


def standardized(algorithm: Algorithm, network: Network, split: Any, targets: bool) -> Network:
    """The same layers, between layers that scale by the statistics of the examples of `split`."""
    check_switch("targets", targets)
    if not isinstance(split, Split):
        raise ValueError(
            "`split` must be a split of a source of tasks, such as tasks.train. Received: "
            f"{type(split).__name__}."
        )
    x, y = split.examples()
    inputs, loss, outputs = statistics_of("x", x), network.loss, None
    if targets and not wants_labels(algorithm, network):
        loss = StandardizedLoss(loss, *statistics_of("y", y))
        # A model of embeddings does not predict: its algorithm does, and uses the loss.
        outputs = None if isinstance(algorithm, EmbeddingLearner) else loss.of_predictions
    columns = None if split.columns is None else dataclasses.asdict(split.columns)
    model = standardized_model(network.model, inputs, outputs, x.shape[1:], columns)
    return Network(model, loss, network.batch_norm)


def columns_of(network: Network) -> Columns | None:
    """The columns of the table that a network was standardized by; None without one."""
    layer = standardize_layer(network.model)
    return Columns.of(layer.columns) if isinstance(layer, TableColumns) else None
