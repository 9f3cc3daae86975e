"""`Network`: a built Keras model and its loss, as pure functions of the weights."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_tf.network import missing_gradients  # noqa: F401 - registers them
from meta_tf.network.normalization import MODES, exact_normalization
from meta_tf.types import Examples, Weights

_QUERY_STATISTICS = {"transductive": True, "support": False, "running": None}


class Network:
    """A built Keras model seen as a pure function of its weights.

    The mathematics of every algorithm is written against this class: nothing in
    it reads or changes a variable of the model, so gradients flow to the given
    weights alone and many tasks can run side by side.

    Args:
      model: a built `keras.Model` of any kind. It is used as it is; its
        normalisation layers get exact second derivatives while they are traced.
      loss: a Keras loss, its name, or a function `(y_true, y_pred) -> values`. It
        is averaged over the examples of one task, never over tasks (summed, if it
        is a Keras loss with `reduction="sum"`).
      batch_norm: whose statistics batch normalisation uses: `"transductive"`,
        `"support"` or `"running"` (see `meta_tf.network.normalization.MODES`).

    Raises:
      ValueError: if the model is not built, has nothing to train, a name is unknown, or
        a batch normalisation cannot take the statistics of the support set.

    Example:
      >>> net = Network(keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]), "mse")
      >>> doubled = net.weights._replace(model=[2 * w for w in net.weights.model])
      >>> net(doubled, tf.ones([5, 3])).shape
      TensorShape([5, 2])
    """

    def __init__(self, model: keras.Model, loss: Any, batch_norm: str = "transductive"):
        _check_model(model)
        if batch_norm not in MODES:
            raise ValueError(
                f"`batch_norm` must be one of {', '.join(MODES)}. Received: {batch_norm!r}."
            )
        self.model = model
        self.batch_norm = batch_norm
        self.loss = _get_loss(loss)
        self.batch_norms = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        if batch_norm == "support":
            _check_momentum(self.batch_norms)
            _check_used_once(model, self.batch_norms)

    @property
    def weights(self) -> Weights:
        """The model's present weights, as tensors."""
        return Weights(
            [tf.convert_to_tensor(v.value) for v in self.model.trainable_variables],
            [tf.convert_to_tensor(v.value) for v in self.model.non_trainable_variables],
            {},
        )

    @property
    def paths(self) -> list[str]:
        """The names of the trainable weights, such as `conv1/kernel`."""
        # Keras puts the model's own name in front, but not after loading.
        front = f"{self.model.name}/"
        return [v.path.removeprefix(front) for v in self.model.trainable_variables]

    def __call__(self, weights: Weights, x: Any, *, training: bool = False) -> Any:
        """Predictions [B, ...] for the inputs `x` [B, ...] of a query set."""
        return self.predict(weights, x, training=training)[0]

    def predict(self, weights: Weights, x: Any, *, training: bool = False) -> tuple[Any, list]:
        """Runs the model on a query set: `(predictions, new state)`.

        Args:
          weights: as in `Network.weights`, each of its variable's own shape.
          x: the inputs of one task, [B, ...].
          training: whether layers such as dropout act as in training.
        """
        predictions, state, _ = self._run(weights, x, training, _QUERY_STATISTICS[self.batch_norm])
        return predictions, state

    def query_loss(
        self,
        weights: Weights,
        query: Examples,
        *,
        training: bool = False,
        head: Callable[[Any], Any] | None = None,
    ) -> tuple[Any, Any, list]:
        """The loss of a query set, regularisers included: `(loss, predictions, new state)`.

        `head` makes the predictions of the model's outputs; None takes them as they are.
        """
        own = _QUERY_STATISTICS[self.batch_norm]
        predictions, state, losses = self._run(weights, query.x, training, own)
        if head is not None:
            predictions = head(predictions)
        return self.mean_loss(query.y, predictions) + losses, predictions, state

    def support_gradients(
        self, weights: Weights, support: Examples, positions: Sequence[int], *, training: bool
    ) -> tuple[list[Any], list[Any]]:
        """Gradients of the support loss: `(gradients, new state)`.

        Args:
          weights: where the gradient is taken.
          support: the support examples of one task.
          positions: which of `weights.model` the gradient is wanted for.
          training: whether layers such as dropout act as in training.

        Returns:
          A gradient for each position, zeros where a weight has no influence, and
          the model's new state.

        Raises:
          ValueError: if the loss reaches none of the chosen weights.
        """
        chosen = [weights.model[i] for i in positions]
        own = self._support_statistics
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(chosen)
            predictions, state, losses = self._run(weights, support.x, training, own)
            loss = self.mean_loss(support.y, predictions) + losses
        gradients = tape.gradient(loss, chosen)
        if all(g is None for g in gradients):
            raise ValueError(
                "The loss on the support set has no gradient with respect to any weight that "
                f"is to be adapted: {', '.join(self.paths[i] for i in positions)}. Received: "
                f"loss {self.loss!r}. Use a loss that is differentiable in the predictions, and "
                "check that the model neither stops the gradient nor leaves TensorFlow."
            )
        return [
            tf.zeros_like(w) if g is None else tf.convert_to_tensor(g)
            for w, g in zip(chosen, gradients, strict=True)
        ], state

    def support_outputs(
        self, weights: Weights, support_x: Any, *, training: bool, before: str | None = None
    ) -> tuple[Any, list]:
        """Runs the model on a support set: `(outputs [S, ...], new state)`.

        Args:
          weights: as in `Network.weights`.
          support_x: the inputs of the support set, [S, ...].
          training: whether layers such as dropout act as in training.
          before: the name of a layer whose input is wanted instead of the outputs.
        """
        part = self.model
        if before is not None:  # shares the layers, and so their weights
            inputs = part.inputs if isinstance(part, keras.Sequential) else part.input
            part = keras.Model(inputs, part.get_layer(before).input, name=part.name)
        outputs, state, _ = self._run(weights, support_x, training, self._support_statistics, part)
        return outputs, state

    def settle(self, weights: Weights, support_x: Any, *, training: bool) -> Weights:
        """Stores the support set's statistics in the state, in the mode `support`.

        In the other modes, and for a model without batch normalisation, `weights`
        come back as they are.
        """
        if self.batch_norm != "support" or not self.batch_norms:
            return weights
        # A layer of momentum m stores m · old + (1 - m) · batch: from zero, a
        # single pass gives the batch's statistics times (1 - m).
        share = {
            id(v): 1 - layer.momentum
            for layer in self.batch_norms
            if layer.trainable
            for v in (layer.moving_mean, layer.moving_variance)
        }
        shares = [share.get(id(v)) for v in self.model.non_trainable_variables]
        blank = [tf.zeros_like(s) if r else s for s, r in zip(weights.state, shares, strict=True)]
        _, after, _ = self._run(weights._replace(state=blank), support_x, training, True)
        return weights._replace(
            state=[a / r if r else a for a, r in zip(after, shares, strict=True)]
        )

    def mean_loss(self, y: Any, predictions: Any) -> Any:
        """The loss of one set, a scalar: the mean over its examples."""
        if predictions.dtype in (tf.float16, tf.bfloat16):
            predictions = tf.cast(predictions, tf.float32)
        if not isinstance(self.loss, keras.losses.Loss):
            return tf.reduce_mean(self.loss(y, predictions))
        # Not loss(y, predictions): under tf.distribute that divides by the number of
        # replicas, and so would divide every inner step.
        values = self.loss.call(tf.cast(y, predictions.dtype), predictions)
        return (tf.reduce_sum if self.loss.reduction == "sum" else tf.reduce_mean)(values)

    def positions(self, patterns: Sequence[str] | None) -> list[int]:
        """Positions among the trainable weights that `patterns` choose.

        A pattern (`*` and `?` as in file names) matches a weight if it matches the
        weight's path (`conv1/kernel`) or one part of it (`conv1`); with `!` in
        front it takes away. The first being of that kind, one starts from all.
        """
        if not self.paths:
            raise ValueError(
                f"The model {self.model.name!r} has no trainable weight that could be adapted. Set "
                "`trainable = True` on the layers that are to learn each task."
            )
        if not patterns:
            return list(range(len(self.paths)))
        chosen = set(range(len(self.paths))) if patterns[0].startswith("!") else set()
        for pattern in patterns:
            glob = pattern.removeprefix("!")
            found = {
                i
                for i, path in enumerate(self.paths)
                if any(fnmatch.fnmatchcase(part, glob) for part in (path, *path.split("/")))
            }
            if not found:
                raise ValueError(
                    f"The pattern {pattern!r} in `adapted` matches no trainable weight. "
                    f"The model has: {', '.join(self.paths)}."
                )
            chosen = chosen - found if pattern.startswith("!") else chosen | found
        if not chosen:
            raise ValueError(f"`adapted`={tuple(patterns)!r} leaves no weight to be adapted.")
        return sorted(chosen)

    @property
    def _support_statistics(self):
        return None if self.batch_norm == "running" else True

    def _run(self, weights, x, training, batch_statistics, part=None):
        """Runs the model, or a part of it with the same weights: `(outputs, new state, losses)`."""
        model = self.model
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        values = zip(variables, [*weights.model, *weights.state], strict=True)
        # What `stateless_call` does, but through `__call__`, which hands `training` on to the
        # layers inside a model whose own `call` does not take it.
        with (
            exact_normalization(batch_statistics),
            keras.StatelessScope(state_mapping=list(values), collect_losses=True) as scope,
        ):
            run = model if part is None else part
            predictions = run(x, training=training)
            losses = run.losses
        state = [scope.get_current_value(v) for v in model.non_trainable_variables]
        return predictions, state, tf.add_n(losses) if losses else 0.0


def _check_momentum(layers):
    for layer in layers:
        if layer.trainable and layer.momentum >= 1:
            raise ValueError(
                f'`batch_norm="support"` needs batch normalisation with a `momentum` below 1: at '
                f"1 no statistics are stored. Received: {layer.name!r} with {layer.momentum}. "
                "Lower it, or freeze the layer to keep its statistics."
            )


def _check_used_once(model, layers):
    # Used twice, a layer would store a blend of two sets' statistics. A subclassed model does
    # not tell.
    depths = getattr(model, "_nodes_by_depth", {}).values()
    used = [node.operation for nodes in depths for node in nodes]
    for layer in layers:
        uses = sum(operation is layer for operation in used)
        if layer.trainable and uses > 1:
            raise ValueError(
                '`batch_norm="support"` needs batch normalisations that are used once. Received: '
                f"{layer.name!r}, used {uses} times. Give each place a layer of its own."
            )


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model. Received: {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"`model` must be built, so that its weights exist. Received: {model.name!r}, not "
            "built. Give it a keras.Input, or call it once on a batch of examples."
        )
    if not model.trainable_variables:
        raise ValueError(
            f"`model` must have trainable weights. Received: {model.name!r}, which has none. "
            "Set `trainable = True` on the layers that are to learn."
        )


def _get_loss(loss):
    try:
        found = keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise ValueError(f"`loss` is not a Keras loss. Received: {loss!r}. {error}") from error
    if found is None:
        raise ValueError(
            "`loss` must be a Keras loss, its name or a function (y_true, y_pred). Received: None."
        )
    return found
