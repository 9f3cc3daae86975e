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
from meta_tf.network.check_loss import check_loss
from meta_tf.network.check_model import (
    as_loss,
    check_model,
    check_momentum,
    check_outputs,
    check_used_once,
    uses_in,
)
from meta_tf.network.finite import nan_unless_finite
from meta_tf.network.masks import both, mask_of, masked_mean, masked_sum
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


class _Outcome(NamedTuple):
    """What a pass leaves: outputs [B, ...], the new state and the regularisers' loss.

    `added`: those parts of the loss that come from the pass, such as activity regularisers.
    """

    outputs: Tensors
    state: list[Tensor]
    losses: Tensor | float
    added: list[Tensor]


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
        `"support"` or `"running"` (see `meta_tf.network.normalization.BATCH_NORM_MODES`).

    Raises:
      ValueError: if the model is not built or has several outputs, a name is unknown, a
        batch normalisation cannot take the statistics of the support set, a cross-entropy
        takes the outputs for what they are not, or the loss says what is not heeded here.

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
        # Only `query_loss` changes these two, in a copy.
        self._recorded: list[_Outcome] | None = None
        self._in_training = False
        # And `of_support` these, likewise.
        self._adapts, self._settled = False, False

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

    def paths_at(self, positions: Sequence[int]) -> list[str]:
        """The names of the trainable weights at these positions."""
        paths = self.paths
        return [paths[p] for p in positions]

    @property
    def input_spec(self) -> Tensors | None:
        """What the model declares to take, as `keras.KerasTensor` [None, ...]; None if nothing."""
        model = self.model
        try:  # a Sequential model's `input` may be a list of one
            return model.inputs[0] if len(model.inputs) == 1 else model.input
        except (AttributeError, ValueError, TypeError):  # a subclassed model declares none
            return None

    @functools.cached_property
    def largest_pixel(self) -> int | None:
        """What white is to the model: 255, 1, or None if its layers do not show it."""
        return largest_pixel(self.model)

    @functools.cached_property
    def takes_numbers_of_things(self) -> bool:
        """Whether the model looks its inputs up, as words are by their numbers."""
        return takes_numbers_of_things(self.model)

    def __call__(self, weights: Weights, x: Tensors, *, training: bool = False) -> Tensors:
        """Predictions [B, ...] for the inputs `x` [B, ...] of a query set.

        Inside `Algorithm.adapt` they are those of a support set, and normalised as such.

        Args:
          weights: as in `Network.weights`, each of its variable's own shape.
          x: the inputs of one task, [B, ...].
          training: whether layers such as dropout act as in training.
        """
        training = training or self._in_training
        of_query = _QUERY_STATISTICS[self.batch_norm]
        statistics = self._support_statistics if self._adapts else of_query
        outcome = self._run(weights, x, training, statistics)
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
        """What `adapt` makes of this network, with the support set's statistics.

        The network that `adapt` is given takes every input for one of the support set, as all
        that `adapt` has is of it. Where it does not `settle` the statistics itself, that is
        done here.

        Args:
          adapt: from a network to the adapted weights.
          inputs: from these to the inputs of the support set.
          training: whether layers such as dropout act as in training.
        """
        if self._adapts:  # an `adapt` that calls another
            return adapt(self)
        adapting = copy.copy(self)
        adapting._adapts = True
        weights = adapt(adapting)
        if adapting._settled:
            return weights
        return self.settle(weights, inputs(weights), training=training)

    def query_loss(
        self,
        weights: Weights,
        query: Examples,
        *,
        training: bool = False,
        predict: Callable[[Network, Tensors], Tensors] | None = None,
    ) -> tuple[Tensor, Tensors, list[Tensor]]:
        """The loss of a query set, regularisers included: `(loss, predictions, new state)`.

        It is NaN if the weights are not finite, whatever the predictions are.

        Args:
          weights: as in `Network.weights`.
          query: the query examples of one task.
          training: whether layers such as dropout act as in training.
          predict: makes the predictions of a network and the inputs; the network itself does
            if None. The network that it is given acts as in training where `training` says so,
            and keeps what the model leaves besides its outputs: state and regularisers of
            its last pass.
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

    def recording(self, training: bool = False) -> Network:
        """A copy that keeps what its last pass leaves, and acts as in training if that is said."""
        recording = copy.copy(self)
        recording._recorded, recording._in_training = [], training
        return recording

    @property
    def added_losses(self) -> list[Tensor]:
        """Of a `recording` network: what layers added to the loss in its last pass."""
        return self._recorded[-1].added if self._recorded else []

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
          tensors: where the gradient is taken, and by what.
          names: gives theirs, for the error.

        Returns:
          A gradient for each tensor, zeros where one has no influence, and the new state.

        Raises:
          ValueError: if the loss depends on none of them.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensors)
            value, state = loss(tensors)
        gradients = tape.gradient(value, tensors)
        if all(g is None for g in gradients):
            raise ValueError(
                "The loss on the support set has no gradient with respect to anything that is "
                f"to be adapted{': ' if names() else ''}{', '.join(names())}. Received: loss "
                f"{self.loss!r}. Use a loss that is differentiable in the predictions, and check "
                "that the model neither stops the gradient nor leaves TensorFlow."
            )
        return [
            tf.zeros_like(w) if g is None else tf.convert_to_tensor(g)
            for w, g in zip(tensors, gradients, strict=True)
        ], state

    def support_gradients(
        self, weights: Weights, support: Examples, positions: Sequence[int], *, training: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`gradients` of `support_loss` by the weights at some positions of `weights.model`."""

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
          before: the name of a layer whose input is wanted instead of the outputs.
        """
        part = self.model
        if before is not None:  # shares the layers, and so their weights
            inputs = part.inputs if isinstance(part, keras.Sequential) else part.input
            part = keras.Model(inputs, _input_of(part, before), name=part.name)
        outcome = self._run(weights, support_x, training, self._support_statistics, part)
        return outcome.outputs, outcome.state

    def settle(self, weights: Weights, support_x: Tensors, *, training: bool) -> Weights:
        """Stores the support set's statistics in the state, in the mode `support`.

        In the other modes, and for a model without batch normalisation, `weights`
        come back as they are.

        Raises:
          ValueError: if the model uses a batch normalisation several times.
        """
        self._settled = self._adapts  # of a network of one `adapt` alone
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
            after = self._run(weights._replace(state=blank), support_x, training, True).state
        check_used_once(uses)
        return weights._replace(
            state=[a / r if r else a for a, r in zip(after, shares, strict=True)]
        )

    def mean_loss(self, y: Tensor, predictions: Tensors) -> Tensor:
        """The loss of one set, a scalar: the mean over its examples, as Keras takes it.

        What a mask leaves out does not count: that of the predictions (`Masking`,
        `Embedding(mask_zero=True)`), or of the loss (`ignore_class`).
        """
        mask, summed = mask_of(predictions), False
        if predictions.dtype in (tf.float16, tf.bfloat16):
            predictions = tf.cast(predictions, tf.float32)
        if isinstance(self.loss, keras.losses.Loss):
            # Not loss(y, predictions): under tf.distribute that divides by the number of
            # replicas, and so would divide every inner step.
            values = self.loss.call(tf.cast(y, predictions.dtype), predictions)
            summed = self.loss.reduction == "sum"
        else:
            values = self.loss(y, predictions)
        mask = both(mask, mask_of(values))
        return masked_sum(values, mask) if summed else masked_mean(values, mask)

    def constrained(self, positions: Sequence[int], weights: list[Tensor]) -> list[Tensor]:
        """The weights at some positions, projected as a Keras optimiser does after a step."""
        variables = self.model.trainable_variables
        return [
            w if variables[p].constraint is None else variables[p].constraint(w)
            for p, w in zip(positions, weights, strict=True)
        ]

    def positions(self, patterns: Sequence[str] | None) -> list[int]:
        """Positions among the trainable weights that `patterns` choose (see `choose`)."""
        if not self.paths:
            raise ValueError(
                f"The model {self.model.name!r} has no trainable weight that could be adapted. Set "
                "`trainable = True` on the layers that are to learn each task."
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
    ) -> _Outcome:
        """Runs the model, or a part of it with the same weights."""
        model = self.model
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        values = zip(variables, [*weights.model, *weights.state], strict=True)
        # What `stateless_call` does, but through `__call__`, which hands `training` on to the
        # layers inside a model whose own `call` does not take it.
        with (
            exact_normalization(batch_statistics),
            same_random_numbers(),
            keras.StatelessScope(state_mapping=list(values), collect_losses=True) as scope,
        ):
            run = model if part is None else part
            outputs = run(x, training=training)
            check_outputs(model, outputs)
            losses, added = run.losses, list(scope.losses)
        state = [scope.get_current_value(v) for v in model.non_trainable_variables]
        return _Outcome(outputs, state, _added_up(losses), added)


def _input_of(model: keras.Model, name: str) -> keras.KerasTensor:
    """The input of a layer in this model; `layer.input` is that in the first model it was in."""
    graph: Any = getattr(model, "_functional", model)  # that of a Sequential model
    layer = model.get_layer(name)
    nodes = (node for nodes in graph._nodes_by_depth.values() for node in nodes)
    return next(node.input_tensors[0] for node in nodes if node.operation is layer)


def _of_type(losses: Tensor | float, loss: Tensor) -> Tensor | float:
    return tf.cast(losses, loss.dtype) if tf.is_tensor(losses) else losses


def _added_up(losses: list[Tensor]) -> Tensor | float:
    """Regularisers and `add_loss` as a scalar, as Keras adds them up, whatever their types."""
    if not losses:
        return 0.0
    wide = tf.float64 if any(loss.dtype == tf.float64 for loss in losses) else tf.float32
    return tf.add_n([tf.reduce_sum(tf.cast(loss, wide)) for loss in losses])
