"""`Network`: a built Keras model and its loss, as pure functions of the weights."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_tf.checks import check_choice
from meta_tf.forks import note_use
from meta_tf.network import missing_gradients  # noqa: F401 - registers them
from meta_tf.network.check_loss import as_loss, check_loss, check_values
from meta_tf.network.check_model import (
    check_model,
    check_momentum,
    check_outputs,
    check_used_once,
    uses_in,
)
from meta_tf.network.finite import nan_unless_finite
from meta_tf.network.losses import loss_name
from meta_tf.network.masks import both, mask_of, masked_mean, masked_sum
from meta_tf.network.model_parts import features_of, input_of, part_of
from meta_tf.network.normalization import (
    BATCH_NORM_MODES,
    exact_normalization,
    uses_of_batch_norms,
)
from meta_tf.network.random_numbers import same_random_numbers
from meta_tf.network.structure import Structure
from meta_tf.network.weight_patterns import choose
from meta_tf.pixels import largest_pixel, takes_numbers_of_things
from meta_tf.types import Examples, Tensor, Tensors, Weights

_QUERY_STATISTICS = {"transductive": True, "support": False, "running": None}


class Outcome(NamedTuple):
    """The result of a forward pass: outputs [B, ...], new state and the regularisers' loss.

    `added`: the parts of the loss that depend on the pass, such as activity regularisers.
    `features`: the inputs [B, D] of the last layer, if they are recorded.
    """

    outputs: Tensors
    state: list[Tensor]
    losses: Tensor | float
    added: list[Tensor]
    features: Tensor | None = None


class Network:
    """A built Keras model as a pure function of its weights.

    Every algorithm uses this class for its mathematics. No method reads or changes a variable of
    the model, so gradients flow only to the given weights, and many tasks can run in parallel.

    Args:
      model: a built `keras.Model` of any kind. It is not changed; its normalisation
        layers get exact second derivatives while they are traced.
      loss: a Keras loss, its name, or a function `(y_true, y_pred) -> values`. It
        is averaged over the examples of one task, never over tasks (or summed, for
        a Keras loss with `reduction="sum"`).
      batch_norm: which statistics batch normalisation uses: `"transductive"`,
        `"support"` or `"running"` (see `meta_tf.network.normalization.BATCH_NORM_MODES`).

    Raises:
      ValueError: if the model is not built or has several outputs, a name is unknown, a
        batch normalisation cannot store the statistics of the support set, a cross-entropy
        does not match the model's outputs, or the loss has an unsupported setting.

    Example:
      >>> net = Network(keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]), "mse")
      >>> doubled = net.weights._replace(model=[2 * w for w in net.weights.model])
      >>> net(doubled, tf.ones([5, 3])).shape
      TensorShape([5, 2])
    """

    def __init__(self, model: keras.Model, loss: Any, batch_norm: str = "transductive"):
        note_use()
        check_model(model)
        check_choice("batch_norm", batch_norm, BATCH_NORM_MODES)
        self.model = model
        self.structure = Structure(model)
        self.batch_norm = batch_norm
        self.loss = as_loss(loss)
        check_loss(model, loss, self.loss)
        self.batch_norms = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        if batch_norm == "support":
            check_momentum(self.batch_norms)
            check_used_once(uses_in(model))
        # Only `recording` changes these, on a copy.
        self._recorded: list[Outcome] | None = None
        self._in_training = False
        self._with_features: keras.Model | None = None
        # Only `of_support` changes these, on a copy.
        self._adapts, self._stored = False, False

    @property
    def weights(self) -> Weights:
        """The model's current weights, as tensors."""
        return Weights(
            [tf.convert_to_tensor(v.value) for v in self.model.trainable_variables],
            [tf.convert_to_tensor(v.value) for v in self.model.non_trainable_variables],
            {},
        )

    @property
    def paths(self) -> list[str]:
        """The names of the trainable weights, such as `conv1/kernel`."""
        # Keras prefixes them with the model's name, but not after loading.
        front = f"{self.model.name}/"
        return [v.path.removeprefix(front) for v in self.model.trainable_variables]

    def paths_at(self, positions: Sequence[int]) -> list[str]:
        """The names of the trainable weights at these positions."""
        paths = self.paths
        return [paths[p] for p in positions]

    @property
    def input_spec(self) -> Tensors | None:
        """The model's inputs as `keras.KerasTensor` [None, ...]; None if it declares none."""
        model = self.model
        try:  # a Sequential model's `input` can be a list of length one
            return model.inputs[0] if len(model.inputs) == 1 else model.input
        except (AttributeError, ValueError, TypeError):  # a subclassed model declares none
            return None

    @functools.cached_property
    def largest_pixel(self) -> int | None:
        """The value of white for the model: 255, 1, or None if its layers do not show it."""
        return largest_pixel(self.model)

    @functools.cached_property
    def takes_numbers_of_things(self) -> bool:
        """Whether the model looks up its inputs, as an embedding does with word indices."""
        return takes_numbers_of_things(self.model)

    def __call__(self, weights: Weights, x: Tensors, *, training: bool = False) -> Tensors:
        """Predictions [B, ...] for the inputs `x` [B, ...] of a query set.

        Inside `Algorithm.adapt`, it treats the inputs as a support set, and normalises them so.

        Args:
          weights: as in `Network.weights`, each with the shape of its variable.
          x: the inputs of one task, [B, ...].
          training: whether layers such as dropout act as in training.
        """
        training = training or self._in_training
        of_query = _QUERY_STATISTICS[self.batch_norm]
        statistics = self._support_statistics if self._adapts else of_query
        outcome = self._run(weights, x, training, statistics, self._with_features)
        if self._with_features is not None:
            outputs, features = outcome.outputs
            outcome = outcome._replace(outputs=outputs, features=features)
        if self._recorded is not None:
            self._recorded.append(outcome)
        return outcome.outputs

    def of_support(
        self,
        adapt: Callable[[Network], Weights],
        inputs: Callable[[Weights], Tensors],
        *,
        training: bool,
    ) -> Weights:
        """The result of `adapt` on this network, with the support set's statistics.

        The network that `adapt` gets treats every input as a support set, because `adapt` has no
        other examples. If `adapt` does not call `store_statistics`, this method does.

        Args:
          adapt: maps a network to the adapted weights.
          inputs: maps the adapted weights to the inputs of the support set.
          training: whether layers such as dropout act as in training.
        """
        if self._adapts:  # one `adapt` calls another
            return adapt(self)
        adapting = copy.copy(self)
        adapting._adapts = True
        weights = adapt(adapting)
        if adapting._stored:
            return weights
        return self.store_statistics(weights, inputs(weights), training=training)

    def query_loss(
        self,
        weights: Weights,
        query: Examples,
        *,
        training: bool = False,
        predict: Callable[[Network, Tensors], Tensors] | None = None,
    ) -> tuple[Tensor, Tensors, list[Tensor]]:
        """The loss of a query set, regularisers included: `(loss, predictions, new state)`.

        It is NaN if the weights are not finite, whatever the predictions.

        Args:
          weights: as in `Network.weights`.
          query: the query examples of one task.
          training: whether layers such as dropout act as in training.
          predict: maps a network and the inputs to predictions; if None, calls the network. The
            network that it gets behaves as in training if `training` is True, and records the
            results of its last pass besides the outputs: state and regularisers.
        """
        recording = self.recording(training)
        if predict is None:
            predictions = recording(weights, query.x)
        else:
            predictions = predict(recording, query.x)
        loss, state = self.mean_loss(query.y, predictions), weights.state
        if recording._recorded:
            last = recording._recorded[-1]
            loss, state = loss + _of_type(last.losses, loss), last.state
        return nan_unless_finite(weights, loss), predictions, state

    def recording(self, training: bool = False, features: bool = False) -> Network:
        """A copy that records the results of its last pass.

        Args:
          training: whether it behaves as in training.
          features: whether it records them too, for a model with `has_features`.
        """
        recording = copy.copy(self)
        recording._recorded, recording._in_training = [], training
        if features:
            (outputs,) = self.model.outputs
            recording._with_features = part_of(self.model, [outputs, features_of(self.model)])
        return recording

    @functools.cached_property
    def has_features(self) -> bool:
        """Whether the last layer has weights, and takes a vector [B, D] from other layers."""
        return features_of(self.model) is not None

    @property
    def last(self) -> Outcome:
        """The result of the last pass of a `recording` network; without outputs before it."""
        return self._recorded[-1] if self._recorded else Outcome(None, [], 0.0, [])

    def support_loss(
        self, weights: Weights, support: Examples, *, training: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """The loss of a support set, regularisers included: `(loss, new state)`."""
        outcome = self._run(weights, support.x, training, self._support_statistics)
        loss = self.mean_loss(support.y, outcome.outputs)
        return loss + _of_type(outcome.losses, loss), outcome.state

    def gradients(
        self,
        loss: Callable[[list[Tensor]], tuple[Tensor, list[Tensor]]],
        tensors: list[Tensor],
        names: Callable[[], Sequence[str]] = list,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients of a support loss: `(gradients, new state)`.

        Args:
          loss: a function of the tensors that returns the loss and the model's new state.
          tensors: the tensors to differentiate by, with the values to do it at.
          names: returns their names, for the error.

        Returns:
          A gradient for each tensor, zeros where it has no influence, and the new state.

        Raises:
          ValueError: if the loss depends on none of them.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensors)
            value, state = loss(tensors)
        gradients = tape.gradient(value, tensors)
        if all(g is None for g in gradients):
            raise ValueError(
                "The loss on the support set has no gradient with respect to any adapted "
                f"value{': ' if names() else ''}{', '.join(names())}. Received: the "
                f"loss {loss_name(self.loss)}. Use a loss that is differentiable in the "
                "predictions, and check that the model neither stops the gradient nor leaves "
                "TensorFlow."
            )
        return [
            tf.zeros_like(w) if g is None else tf.convert_to_tensor(g)
            for w, g in zip(tensors, gradients, strict=True)
        ], state

    def support_gradients(
        self, weights: Weights, support: Examples, positions: Sequence[int], *, training: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`gradients` of `support_loss` by the weights at these positions of `weights.model`."""

        def loss(chosen: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            model = list(weights.model)
            for p, w in zip(positions, chosen, strict=True):
                model[p] = w
            return self.support_loss(weights._replace(model=model), support, training=training)

        chosen = [weights.model[p] for p in positions]
        return self.gradients(loss, chosen, lambda: self.paths_at(positions))

    def support_outputs(
        self, weights: Weights, support_x: Tensors, *, training: bool, before: str | None = None
    ) -> tuple[Tensors, list[Tensor]]:
        """Runs the model on a support set: `(outputs [S, ...], new state)`.

        Args:
          weights: as in `Network.weights`.
          support_x: the inputs of the support set, [S, ...].
          training: whether layers such as dropout act as in training.
          before: the name of a layer whose input to return instead of the outputs.
        """
        part = None if before is None else part_of(self.model, input_of(self.model, before))
        outcome = self._run(weights, support_x, training, self._support_statistics, part)
        if self._recorded is not None:
            self._recorded.append(outcome)
        return outcome.outputs, outcome.state

    def store_statistics(self, weights: Weights, support_x: Tensors, *, training: bool) -> Weights:
        """Stores the support set's statistics in the state, in the mode `support`.

        In the other modes, and for a model without batch normalisation, it returns
        `weights` unchanged.

        Raises:
          ValueError: if the model uses a batch normalisation several times.
        """
        self._stored = self._adapts  # only inside `of_support`
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
        with uses_of_batch_norms() as uses:
            blank_weights = weights._replace(state=blank)
            after = self._run(blank_weights, support_x, training, True, settles=True).state
        check_used_once(uses)
        return weights._replace(
            state=[a / r if r else a for a, r in zip(after, shares, strict=True)]
        )

    def mean_loss(self, y: Tensor, predictions: Tensors) -> Tensor:
        """The loss of one set, a scalar: the mean over its examples, as in Keras.

        Masked entries do not count, whether the mask comes from the predictions (`Masking`,
        `Embedding(mask_zero=True)`) or from the loss (`ignore_class`).
        """
        mask, summed = mask_of(predictions), False
        if predictions.dtype in (tf.float16, tf.bfloat16):
            predictions = tf.cast(predictions, tf.float32)
        if isinstance(self.loss, keras.losses.Loss):
            # Not loss(y, predictions): under tf.distribute, that divides by the number of
            # replicas, and would divide every inner step too.
            values = self.loss.call(tf.cast(y, predictions.dtype), predictions)
            summed = self.loss.reduction == "sum"
        else:
            values = self.loss(y, predictions)
        check_values("loss", values, predictions)
        mask = both(mask, mask_of(values))
        return masked_sum(values, mask) if summed else masked_mean(values, mask)

    def constrained(self, positions: Sequence[int], weights: list[Tensor]) -> list[Tensor]:
        """The weights at these positions, projected as a Keras optimiser does after a step."""
        variables = self.model.trainable_variables
        return [
            w if variables[p].constraint is None else variables[p].constraint(w)
            for p, w in zip(positions, weights, strict=True)
        ]

    def positions(self, patterns: Sequence[str] | None) -> list[int]:
        """The positions among the trainable weights that `patterns` select (see `choose`)."""
        if not self.paths:
            raise ValueError(
                f"The model {self.model.name!r} has no trainable weight to adapt. Set "
                "`trainable = True` on the layers that should learn each task."
            )
        return choose(self.paths, patterns)

    @property
    def _support_statistics(self) -> bool | None:
        return None if self.batch_norm == "running" else True

    def _run(
        self,
        weights: Weights,
        x: Tensors,
        training: bool,
        batch_statistics: bool | None,
        part: keras.Model | None = None,
        settles: bool = False,
    ) -> Outcome:
        """Runs the model, or a part of it that shares its weights.

        Moving averages change only in training and to settle; gradients flow only to settled ones.
        """
        model = self.model
        moving = "differentiable" if settles else "updated" if training else "kept"
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        values = zip(variables, [*weights.model, *weights.state], strict=True)
        # Like `stateless_call`, but through `__call__`, which passes `training` to the layers
        # of a model whose own `call` does not take it.
        with (
            exact_normalization(batch_statistics, moving),
            same_random_numbers(),
            keras.StatelessScope(state_mapping=list(values), collect_losses=True) as scope,
        ):
            run = model if part is None else part
            outputs = run(x, training=training)
            if part is None:
                check_outputs(model, outputs)
            losses, added = run.losses, list(scope.losses)
        state = [scope.get_current_value(v) for v in model.non_trainable_variables]
        if moving == "kept":  # not only by fused kernels
            averages = {id(v) for la in self.batch_norms for v in la.non_trainable_variables}
            state = [
                old if id(v) in averages else new
                for v, old, new in zip(
                    model.non_trainable_variables, weights.state, state, strict=True
                )
            ]
        return Outcome(outputs, state, _added_up(losses), added)


def _of_type(losses: Tensor | float, loss: Tensor) -> Tensor | float:
    return tf.cast(losses, loss.dtype) if tf.is_tensor(losses) else losses


def _added_up(losses: list[Tensor]) -> Tensor | float:
    """Regularisers and `add_loss` as a scalar: their sum as in Keras, of any types."""
    if not losses:
        return 0.0
    wide = tf.float64 if any(loss.dtype == tf.float64 for loss in losses) else tf.float32
    return tf.add_n([tf.reduce_sum(tf.cast(loss, wide)) for loss in losses])
