"""In-context learning: a transformer that reads the support set, without an inner loop."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from meta_tf import gaussian
from meta_tf.algorithms.attention import Blocks, layer_weights, linear, norm, norm_weights
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.checks import check_choice, check_integer
from meta_tf.layers import classifiers
from meta_tf.network.losses import loss_name, takes_class_numbers
from meta_tf.network.network import Network
from meta_tf.types import Tensor, Tensors, Weights

_SCALE = 10.0  # initial scale of the votes; cosines, from -1 to 1, would give a flat softmax


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class InContext(EmbeddingLearner):
    """Attention over the support pairs: the forward pass learns the task.

    With f the model, whose outputs [B, E] are embeddings, and one token for each example:

        s_0 = MLP([f(support_x), support_y]),   q_0 = f(query_x) W_q
        s_{i+1} = Block(s_i, looking at s_i),   q_{i+1} = Block(q_i, looking at s_i)
        predictions = norm(q_B) W
        meta-gradient: that of the loss of the predictions.

    With `answer="votes"`, both sets pass through the same blocks, and a query attends to the
    tokens of the support set to find its class, with u(·) the unit vector and Y one row per
    class:

        s_0 = f(support_x) W_q + Y[support_y],   q_0 = f(query_x) W_q
        s_{i+1} = Block(s_i, looking at s_i),   q_{i+1} = Block(q_i, looking at s_i)
        a = softmax over the support set of scale · u(norm(q_B)) · u(norm(s_B))
        predictions[q, n] = log Σ_s a[q, s] [support_y_s = n].

    A block is multi-head attention followed by a two-layer network. Tokens have no position,
    so the order of the support set does not matter. The support set can have any size, and
    each query is predicted independently of the others. The weights of the blocks are
    meta-weights of the algorithm. The model can be any that returns one vector for each
    example, such as `mlp` and `conv4` without their last layer. There are no inner steps: the
    argument `steps` of `adapt` has no effect.

    An inner loop can make some progress on any task. This algorithm cannot: it fails on tasks
    of another kind than it was trained on, or with far more support examples.

    Args:
      ways: number of classes N for classification; None for regression.
      targets: size of a target for regression.
      width: size of the tokens, D.
      blocks: number of blocks that each set passes through, B.
      heads: number of attention heads, which share the width.
      answer: "linear", or "votes" for classification. Votes are a matching network in the
        context of the support set. It is invariant to the numbering of the classes, so it
        learns to distinguish many classes where "linear" stays at chance. "gaussian", for
        regression, predicts a mean and a scale of each target, [Q, 2 targets], for
        `meta_tf.GaussianLoss`: a Conditional Neural Process with attention.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the
        model's output is not one vector for each example.

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
        check_choice("answer", self.answer, ("linear", "votes", "gaussian"))
        if self.answer == "votes" and self.ways is None:
            raise ValueError(
                '`answer` must be "linear" for regression: votes are for classes. Received: '
                "answer='votes', ways=None. Pass `ways`, the number of classes."
            )
        if self.answer == "gaussian" and self.ways is not None:
            raise ValueError(
                '`answer` must be "linear" or "votes" for classes: a Gaussian is for regression. '
                f"Received: answer='gaussian', ways={self.ways}. Leave `ways` out."
            )
        if self.width % self.heads:
            raise ValueError(
                "`width` must be a multiple of `heads`, which share it. Received: "
                f"width={self.width}, heads={self.heads}."
            )

    def check(self, network: Network) -> None:
        super().check(network)
        shape = getattr(network.model, "output_shape", None)
        if shape is None or shape[-1] is None:
            raise ValueError(
                "`model` must have outputs of a known size for InContext. "
                f"Received: {network.model.name!r} with outputs of shape {shape}. Use a "
                "Functional or Sequential model with known sizes."
            )
        regression = self.ways is None and self.answer == "linear"
        if regression and takes_class_numbers(network.loss):
            raise ValueError(
                "`ways` must be the number of classes for a loss of class numbers. Received: "
                f"ways=None and {loss_name(network.loss)}. Pass InContext(ways=...)."
            )

    def prediction_size(self, network: Network) -> int | None:
        """The number of classes; None for regression, whose targets are not labels."""
        return self.ways

    def only_seen_classes(self) -> bool:
        return self._votes

    def predicts_gaussians(self) -> bool:
        return self.answer == "gaussian"

    def output_spec(self, network: Network, x: Tensors) -> Tensors:
        rows = keras.tree.flatten(x)[0].shape[0]
        return keras.KerasTensor((rows, self._outputs), dtype=keras.config.floatx())

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        embedded, width, blocks = network.model.output_shape[-1], self.width, self._blocks
        found: dict[str, Tensor] = {}
        # Files store and load them in this order.
        if not self._votes:
            found |= layer_weights("pair1", embedded + self._target_size, width)
            found |= layer_weights("pair2", width, width)
        found |= layer_weights("query", embedded, width)
        for i in range(self.blocks):
            if i and not self._votes:  # queries attend to the first tokens directly
                found |= blocks.weights(f"support{i}")
            found |= blocks.weights(f"query{i + 1}")
        found |= norm_weights("norm", width)
        if self._votes:
            dtype = keras.config.floatx()
            labels = tf.zeros([self._target_size, width], dtype)  # initially, all classes are equal
            return found | {"labels": labels, "scale": tf.constant(_SCALE, dtype)}
        return found | layer_weights("prediction", width, self._outputs)

    # The support set is reduced to the keys and values that queries attend to in each block.

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
        outputs = linear(meta, "prediction", x)
        return gaussian.positive_scale(outputs) if self.predicts_gaussians() else outputs

    def _support_tokens(self, weights: Weights, embeddings: Tensor, y: Tensor) -> Tensor:
        """The support pairs as tokens for the first block, [S, D]."""
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
    def _target_size(self) -> int:
        return self.targets if self.ways is None else self.ways

    @property
    def _outputs(self) -> int:
        """Numbers in a prediction: with a Gaussian, a mean and a scale for each target."""
        return 2 * self._target_size if self.predicts_gaussians() else self._target_size

    @property
    def _blocks(self) -> Blocks:
        return Blocks(self.width, self.heads)

    def _as_weights(self, weights: Weights, x: Tensor) -> Tensor:
        """`x` in the dtype of the weights; the model may compute in another."""
        return tf.cast(x, weights.meta["query_kernel"].dtype)

    def _targets(self, weights: Weights, y: Tensor) -> Tensor:
        """The support set's targets as numbers, [S, targets]."""
        if self.ways is not None:
            y = tf.one_hot(tf.cast(tf.reshape(y, [-1]), tf.int32), self.ways)
        return tf.reshape(self._as_weights(weights, y), [-1, self._target_size])
