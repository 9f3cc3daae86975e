"""In-context learning: a transformer that reads the support set, and has no inner loop."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from meta_tf.algorithms.attention import Blocks, layer_weights, linear, norm, norm_weights
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.checks import check_choice, check_integer
from meta_tf.layers import classifiers
from meta_tf.network.network import Network
from meta_tf.network.standardized import StandardizedLoss
from meta_tf.types import Examples, Tensor, Tensors, Weights

_SCALE = 10.0  # of the votes at the start; cosines alone, from -1 to 1, decide too little


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class InContext(EmbeddingLearner):
    """Attention over the support pairs: a task is learned in the forward pass.

    With f the model, whose outputs [B, E] are embeddings, one token for each example:

        s_0 = MLP([f(support_x), support_y]),   q_0 = f(query_x) W_q
        s_{i+1} = Block(s_i, looking at s_i),   q_{i+1} = Block(q_i, looking at s_i)
        predictions = norm(q_B) W
        meta-gradient: that of the loss of the predictions.

    With `answer="votes"` both sets pass the same blocks, and a query looks for its class in the
    tokens of the support set, with u(·) of length 1 and Y the classes' rows:

        s_0 = f(support_x) W_q + Y[support_y],   q_0 = f(query_x) W_q
        s_{i+1} = Block(s_i, looking at s_i),   q_{i+1} = Block(q_i, looking at s_i)
        a = softmax over the support set of scale · u(norm(q_B)) · u(norm(s_B))
        predictions[q, n] = log Σ_s a[q, s] [support_y_s = n].

    A block is attention of several heads and a network of two layers. No token tells
    where its example stands, so the order of the support set does not matter; its size
    is free; and no query looks at another. The weights of the blocks are meta-weights of
    the algorithm and the model is any that gives a vector for each example: `mlp` and `conv4`
    without their last layer, say. There are no inner steps: the argument `steps` of `adapt`
    changes nothing.

    Unlike an inner loop, which learns any task a little, it knows what it was trained on:
    tasks of another kind, or far more support examples, are beyond it.

    Args:
      ways: number of classes N of a classification; None for regression.
      targets: size of a target of a regression.
      width: of the tokens, D.
      blocks: how many blocks each set passes, B.
      heads: among how many the width is divided in attention.
      answer: "linear", or "votes" for a classification, which is a matching network in the
        context of the support set: it need not learn that classes may be numbered in any way,
        so it learns to tell many apart where the other stays at chance.

    Raises:
      ValueError: if a setting is out of its range, or at the construction of the
        learner if the model's output is not one vector for each example.

    Example:
      >>> model = meta_tf.models.mlp(1, None, (64, 64), "gelu", "glorot_uniform")
      >>> learner = meta_tf.MetaLearner(model, InContext(), loss="mse")
      >>> fitted = learner.adapt(tf.zeros([10, 1]), tf.zeros([10, 1]))
      >>> fitted(tf.zeros([3, 1])).shape
      TensorShape([3, 1])

    References:
      Garnelo et al. 2018, Conditional Neural Processes; Kim et al. 2019, Attentive Neural
      Processes. Nguyen & Grover 2022, Transformer Neural Processes: the same idea, with
      queries among the tokens and masks between them.
    """

    ways: int | None = None
    targets: int = 1
    width: int = 64
    blocks: int = 3
    heads: int = 4
    answer: str = "linear"

    def __post_init__(self) -> None:
        if self.ways is not None:
            check_integer("ways", self.ways, 2, "the number of classes to tell apart")
        check_integer("targets", self.targets, 1)
        check_integer("width", self.width, 1)
        check_integer("blocks", self.blocks, 1)
        check_integer("heads", self.heads, 1)
        check_choice("answer", self.answer, ("linear", "votes"))
        if self.answer == "votes" and self.ways is None:
            raise ValueError(
                '`answer` must be "linear" for a regression: votes are for classes. Received: '
                "answer='votes', ways=None. Give `ways`, the number of classes."
            )
        if self.width % self.heads:
            raise ValueError(
                "`width` must be a multiple of `heads`, among which it is divided. Received: "
                f"width={self.width}, heads={self.heads}."
            )

    def check(self, network: Network) -> None:
        super().check(network)
        shape = getattr(network.model, "output_shape", None)
        if shape is None or shape[-1] is None:
            raise ValueError(
                "`model` must say how wide its outputs are, for InContext to be built on them. "
                f"Received: {network.model.name!r} with outputs of shape {shape}. Take a "
                "Functional or Sequential model of known sizes."
            )

    def prediction_size(self, network: Network) -> int | None:
        """The number of classes; None for regression, whose targets are no labels."""
        return self.ways

    def output_spec(self, network: Network, x: Tensors) -> Tensors:
        rows = keras.tree.flatten(x)[0].shape[0]
        return keras.KerasTensor((rows, self._outputs), dtype=keras.config.floatx())

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        embedded, width, blocks = network.model.output_shape[-1], self.width, self._blocks
        found: dict[str, Tensor] = {}
        # In this order they are saved, and are looked for in files.
        if not self._votes:
            found |= layer_weights("pair1", embedded + self._outputs, width)
            found |= layer_weights("pair2", width, width)
        found |= layer_weights("query", embedded, width)
        for i in range(self.blocks):
            if i and not self._votes:  # the first tokens are looked at as they are
                found |= blocks.weights(f"support{i}")
            found |= blocks.weights(f"query{i + 1}")
        found |= norm_weights("norm", width)
        if self._votes:
            dtype = keras.config.floatx()
            labels = tf.zeros([self._outputs, width], dtype)  # at first all are alike
            return found | {"labels": labels, "scale": tf.constant(_SCALE, dtype)}
        return found | layer_weights("prediction", width, self._outputs)

    # The targets of a standardized regression are tokens in standard units, and so are the outputs.

    def adapt(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        *,
        steps: int | Tensor | None = None,
        training: bool = False,
    ) -> Weights:
        if isinstance(network.loss, StandardizedLoss):
            y = self._as_weights(weights, support.y)
            support = support._replace(y=network.loss.of_targets.standard(y))
        return super().adapt(network, weights, support, steps=steps, training=training)

    def predict(self, network: Network, adapted: Weights, query_x: Tensors) -> Tensor:
        predictions = super().predict(network, adapted, query_x)
        if isinstance(network.loss, StandardizedLoss):
            predictions = network.loss.of_targets.restored(predictions)
        return predictions

    # What the support set leaves are the keys and values that queries look at, block by block.

    def fit(self, weights: Weights, embeddings: Tensor, y: Tensor) -> dict[str, Tensor]:
        meta, blocks = weights.meta, self._blocks
        found: dict[str, Tensor] = {}
        x = self._support_tokens(weights, embeddings, y)
        for i in range(self.blocks):
            if i and not self._votes:
                name = f"support{i}"
                x = blocks.apply(meta, name, x, blocks.seen(meta, name, x))
            name = f"query{i + 1}"
            keys, values = seen = blocks.seen(meta, name, x)
            found |= {f"keys{i + 1}": keys, f"values{i + 1}": values}
            if self._votes:
                x = blocks.apply(meta, name, x, seen)
        if self._votes:
            found |= classifiers.fit_attention(norm(meta, "norm", x), y, self._outputs)
        return found

    def read(self, adapted: Weights, embeddings: Tensor) -> Tensor:
        meta = adapted.meta
        x = linear(meta, "query", self._as_weights(adapted, embeddings))
        for i in range(self.blocks):
            seen = meta[f"keys{i + 1}"], meta[f"values{i + 1}"]
            x = self._blocks.apply(meta, f"query{i + 1}", x, seen)
        x = norm(meta, "norm", x)
        if self._votes:
            return classifiers.attention_logits(meta, x, meta["scale"])
        return linear(meta, "prediction", x)

    def _support_tokens(self, weights: Weights, embeddings: Tensor, y: Tensor) -> Tensor:
        """What the pairs are to the first block, [S, D]."""
        meta, x = weights.meta, self._as_weights(weights, embeddings)
        y = self._targets(weights, y)
        if self._votes:
            return linear(meta, "query", x) + tf.matmul(y, meta["labels"])
        pairs = tf.concat([x, y], -1)
        return linear(meta, "pair2", tf.nn.gelu(linear(meta, "pair1", pairs)))

    @property
    def _votes(self) -> bool:
        return self.answer == "votes"

    @property
    def _outputs(self) -> int:
        return self.targets if self.ways is None else self.ways

    @property
    def _blocks(self) -> Blocks:
        return Blocks(self.width, self.heads)

    def _as_weights(self, weights: Weights, x: Tensor) -> Tensor:
        """In the weights' own type: a model may compute in another."""
        return tf.cast(x, weights.meta["query_kernel"].dtype)

    def _targets(self, weights: Weights, y: Tensor) -> Tensor:
        """The support set's targets as numbers, [S, outputs]."""
        if self.ways is not None:
            y = tf.one_hot(tf.cast(tf.reshape(y, [-1]), tf.int32), self.ways)
        return tf.reshape(self._as_weights(weights, y), [-1, self._outputs])
