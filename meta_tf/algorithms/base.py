"""The interface of an algorithm: how to learn one task, and its meta-gradient."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights


class TaskResult(NamedTuple):
    """The results of one task for the outer loop.

    `loss`: the query loss, a scalar. `predictions`: for the query set, [Q, ...]. `state`: the
    model's non-trainable state afterwards. `gradients`: the meta-gradients of the model's
    weights, in the order of `Weights.model`. `meta_gradients`: those of the meta-weights, by
    name. `moved`: the task's changes to the algorithm's non-trainable state, by name.
    """

    loss: Tensor
    predictions: Tensors
    state: list[Tensor]
    gradients: list[Tensor]
    meta_gradients: dict[str, Tensor]
    moved: dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Algorithm(abc.ABC):
    """How a network learns a task, written for one task.

    A subclass is a frozen dataclass: its fields are the hyperparameters, its methods are
    pure. It must define `adapt`; the other methods have defaults that fit any algorithm
    whose meta-gradient is the gradient of the query loss. An algorithm that learns in steps
    extends `meta_tf.algorithms.InnerLoop` and defines `change`. To save it with a model,
    decorate it with `keras.saving.register_keras_serializable`.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Plain(Algorithm):
      ...     '''No adaptation: joint training, the baseline for other algorithms.'''
      ...     def adapt(self, network, weights, support, *, steps=None, training=False):
      ...         return weights
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "adapt" in vars(cls):
            cls.adapt = _normalised_by_the_support_set(cls.adapt)  # type: ignore[method-assign]

    # --- used before learning ---

    def check(self, network: Network) -> None:  # noqa: B027 - most algorithms accept any
        """Raises ValueError if the algorithm cannot work with this network."""

    def steps_to_evaluate(self) -> int:
        """The default number of inner steps for a new task; 0 without an inner loop."""
        return 0

    def with_rate(self, rate: Tensor) -> Algorithm | None:
        """The algorithm with this inner learning rate; None if the rate is not a free setting."""
        del rate
        return None

    def input_spec(self, network: Network) -> Tensors | None:
        """The shape and type of examples, as `keras.KerasTensor` [None, ...]; None if unknown.

        By default, those of the model's inputs. Override it if the algorithm passes more than
        the examples to the model, such as a context that is appended to them.
        """
        return network.input_spec

    def prediction_size(self, network: Network) -> int | None:
        """The number of classes if it differs from the model's outputs; otherwise None.

        It is the size of a prediction's last axis, and targets are class numbers. For other
        predictions, override `output_spec`.
        """
        del network
        return None

    def only_seen_classes(self) -> bool:
        """Whether a class without a support example is never predicted; False by default.

        If True, targets are class numbers, and the model that `adapt` returns has outputs only
        for the classes of its task.
        """
        return False

    def predicts_gaussians(self) -> bool:
        """Whether predictions are means and scales, for `meta_tf.GaussianLoss`.

        False by default: the model's outputs are the predictions, whatever they mean.
        """
        return False

    def output_spec(self, network: Network, x: Tensors) -> Tensors:
        """Shape and type of the predictions for inputs of the shape and type of `x`, [B, ...].

        An algorithm that overrides `input_spec` must override this as well.
        """
        spec, size = network.model.compute_output_spec(x), self.prediction_size(network)
        if size is None:
            return spec
        dtype = "float32" if spec.dtype in ("float16", "bfloat16") else spec.dtype
        return keras.KerasTensor((*spec.shape[:-1], size), dtype=dtype)

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        """Initial values of weights learned besides the model's, by name; none by default."""
        del network
        return {}

    def moving(self, network: Network) -> dict[str, Tensor]:
        """Initial values of the algorithm's non-trainable state, by name; none by default.

        Like the meta-weights, it is part of `Weights.meta`. `TaskResult.moved` is the change
        by one task; training adds the mean over the tasks.
        """
        del network
        return {}

    # --- learning one task, and predicting with it ---

    def initial(self, network: Network, weights: Weights) -> Weights | None:
        """The weights that predict before any inner step; by default `weights`.

        None if the algorithm cannot predict without a support set.
        """
        del network
        return weights

    @abc.abstractmethod
    def adapt(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        *,
        steps: int | Tensor | None = None,
        training: bool = False,
    ) -> Weights:
        """Learns one task from its support set.

        Args:
          network: the model and its loss. Inside `adapt`, it treats its inputs as a support
            set: in the batch-norm mode `support`, it uses their own statistics, and the
            returned weights contain these statistics for the query set.
          weights: where to start.
          support: the support set, [S, ...].
          steps: the number of inner steps; the algorithm's own if None.
          training: whether this is part of meta-training.

        Returns:
          The weights for `predict`. If `predict` needs more than weights (prototypes, for
          example), put it into `Weights.meta`.
        """

    def trajectory(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        read: Callable[[Weights], Tensors],
        *,
        steps: int,
    ) -> Tensors:
        """The values of `read` for the adapted weights after 0, 1, … `steps` inner steps.

        Args:
          network: the model and its loss.
          weights: where to start.
          support: the support set, [S, ...].
          read: a pure function from what `adapt` returns to a structure of tensors.
          steps: the last number of inner steps.

        Returns:
          The structure that `read` returns, each tensor with a leading axis,
          [steps + 1, ...].
        """
        values = [read(self.adapt(network, weights, support, steps=k)) for k in range(steps + 1)]
        return tf.nest.map_structure(lambda *each: tf.stack(each), *values)

    def model_inputs(self, weights: Weights, x: Tensors) -> Tensors:
        """The model's inputs for the examples `x`, [B, ...]; by default `x`."""
        del weights
        return x

    def predict(self, network: Network, adapted: Weights, query_x: Tensors) -> Tensors:
        """Predictions [Q, ...] of an adapted network for a query set [Q, ...].

        Meta-training uses this method too, and minimises the loss of these predictions.
        """
        return network(adapted, self.model_inputs(adapted, query_x))

    # --- learning from a task ---

    def query_loss(
        self, network: Network, adapted: Weights, query: Examples
    ) -> tuple[Tensor, Tensors, list[Tensor]]:
        """The query loss of `predict` in meta-training: `(loss, predictions, new state)`."""
        return network.query_loss(
            adapted,
            query,
            training=True,
            predict=lambda network, x: self.predict(network, adapted, x),
        )

    def task_loss(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        iteration: int | Tensor = 0,
    ) -> tuple[Tensor, Tensors, list[Tensor]]:
        """The loss that meta-training minimises: `(loss, predictions, new state)`.

        `iteration` is the number of completed outer steps, for schedules.
        """
        del iteration
        adapted = self.adapt(network, weights, support, training=True)
        return self.query_loss(network, adapted, query)

    def meta_gradients(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        scale: float | Tensor = 1.0,
        iteration: int | Tensor = 0,
    ) -> TaskResult:
        """The value of `task_loss` and its gradient times `scale`.

        `scale` is the loss scale of float16 training. It multiplies the loss before the
        gradient is taken, so that small gradients do not vanish. `iteration` is the number
        of completed outer steps.
        """
        (loss, predictions, state), gradients, meta = gradients_of(
            lambda: self.task_loss(network, weights, support, query, iteration=iteration),
            weights,
            scale,
        )
        return TaskResult(loss, predictions, state, gradients, meta, {})

    # --- saving ---

    def get_config(self) -> dict[str, Any]:
        """The settings, for saving; objects among them are serialized by Keras."""
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _written(value) for name, value in settings.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Algorithm:
        """The algorithm with these settings."""
        return cls(**{name: _read(value) for name, value in config.items()})


def _normalised_by_the_support_set(adapt: Callable[..., Weights]) -> Callable[..., Weights]:
    """An `adapt` with the right batch-norm statistics, however it calls the network."""

    @functools.wraps(adapt)
    def right(
        self: Algorithm, network: Network, weights: Weights, support: Examples, **options: Any
    ) -> Weights:
        return network.of_support(
            lambda network: adapt(self, network, weights, support, **options),
            lambda adapted: self.model_inputs(adapted, support.x),
            training=bool(options.get("training")),
        )

    return right


def gradients_of(
    outcome: Callable[[], tuple[Any, ...]], weights: Weights, scale: float | Tensor
) -> tuple[tuple[Any, ...], list[Tensor], dict[str, Tensor]]:
    """The result of `outcome`, whose first entry is a loss, and the gradients of loss * `scale`.

    Args:
      outcome: computes the loss and other results from `weights`.
      weights: the gradients are taken with respect to its model and meta-weights.
      scale: the loss scale of float16 training.

    Returns:
      `(outcome, gradients, meta-gradients)`; the gradients have the structures of
      `Weights.model` and `Weights.meta`.
    """
    sources = (weights.model, weights.meta)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        found = outcome()
        scaled = found[0] * tf.cast(scale, found[0].dtype)
    gradients, meta = tape.gradient(
        scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return found, dense(gradients), meta


def dense(gradients: list[Any]) -> list[Tensor]:
    """Gradients as dense tensors; TensorFlow returns an embedding's as `IndexedSlices`."""
    return [tf.convert_to_tensor(g) for g in gradients]


def _written(value: Any) -> Any:
    plain = value is None or isinstance(value, bool | int | float | str | list | tuple | dict)
    return value if plain else keras.saving.serialize_keras_object(value)


def _read(value: Any) -> Any:
    written = isinstance(value, dict) and "class_name" in value and "config" in value
    return keras.saving.deserialize_keras_object(value) if written else value
