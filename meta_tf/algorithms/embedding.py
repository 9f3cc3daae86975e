"""`EmbeddingLearner`: predicts from embeddings of the support and query set, no inner loop."""

from __future__ import annotations

import abc
import dataclasses

import keras
import tensorflow as tf

from meta_tf.algorithms.base import Algorithm
from meta_tf.checks import check_integer
from meta_tf.network.check_loss import check_nothing_ignored
from meta_tf.network.losses import loss_name, takes_probabilities
from meta_tf.network.masks import check_no_mask
from meta_tf.network.network import Network
from meta_tf.network.standardized_loss import StandardizedLoss
from meta_tf.types import Examples, Tensor, Tensors, Weights


@dataclasses.dataclass(frozen=True)
class EmbeddingLearner(Algorithm):
    """An algorithm whose model is an embedding f, with a predictor fitted to the support set.

        fitted = fit(f(support_x), support_y),   predictions = read(fitted, f(query_x))

    There are no inner steps: the argument `steps` of `adapt` has no effect.

    Raises:
      ValueError: when the learner is constructed, if the model's output is not one vector
        for each example.
    """

    def check(self, network: Network) -> None:
        shape = getattr(network.model, "output_shape", None)
        if shape is not None and not (isinstance(shape, tuple) and len(shape) == 2):
            raise ValueError(
                f"`model` must return an embedding [B, D] for {type(self).__name__}, one vector "
                f"for each example. Received: {network.model.name!r} with outputs of shape "
                f"{shape}. End it with a Flatten or a GlobalAveragePooling2D layer, and leave out "
                "the classifier, as meta_tf.models.conv4(ways=None) does."
            )
        check_nothing_ignored(self, network.loss)
        if takes_probabilities(network.loss):
            raise ValueError(
                f"`loss` must take logits, which {type(self).__name__} returns. Received: "
                f"{loss_name(network.loss)} of probabilities. Pass "
                "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)."
            )

    def initial(self, network: Network, weights: Weights) -> None:
        """None: the algorithm cannot predict without a support set."""

    @abc.abstractmethod
    def fit(self, weights: Weights, embeddings: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The predictor fitted to embeddings [S, D] and targets [S, ...]: tensors by name."""

    @abc.abstractmethod
    def read(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        """Predictions [Q, ...] for embeddings [Q, D]; `adapted.meta` has the result of `fit`."""

    def adapt(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        *,
        steps: int | Tensor | None = None,
        training: bool = False,
    ) -> Weights:
        x = self.model_inputs(weights, support.x)
        embeddings, state = network.support_outputs(weights, x, training=training)
        check_no_mask(self, embeddings)
        # Outside of training, the support set's update of the moving averages is not used.
        after = weights._replace(state=state) if training else weights
        after = network.store_statistics(after, x, training=training)
        y, loss = support.y, network.loss
        if isinstance(loss, StandardizedLoss):  # `fit` and `read` work in standard units
            y = loss.of_targets.standard(tf.cast(y, keras.config.floatx()))
        return after._replace(meta={**after.meta, **self.fit(after, embeddings, y)})

    def predict(self, network: Network, adapted: Weights, query_x: Tensors) -> Tensor:
        predictions = self.read(adapted, super().predict(network, adapted, query_x))
        if isinstance(network.loss, StandardizedLoss):
            predictions = network.loss.of_predictions.restored(predictions)
        return predictions


@dataclasses.dataclass(frozen=True)
class EmbeddingClassifier(EmbeddingLearner):
    """An `EmbeddingLearner` that fits a classifier to the support set and predicts logits.

    A class without a support example is never predicted.

    Args:
      ways: number of classes N, the size of the logits.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector for each example.
    """

    ways: int

    def __post_init__(self) -> None:
        check_integer("ways", self.ways, 2, "the number of classes to tell apart")

    def prediction_size(self, network: Network) -> int | None:
        return self.ways

    def only_seen_classes(self) -> bool:
        return True

    def read(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        return self.logits(adapted, embeddings)

    @abc.abstractmethod
    def logits(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        """Logits [Q, N] for embeddings [Q, D]; `adapted.meta` has the result of `fit`."""
