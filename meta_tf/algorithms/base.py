"""The contract of an algorithm: how one task is learned, and what to learn from that."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from meta_tf.network.network import Network
from meta_tf.types import Examples, Weights


class TaskResult(NamedTuple):
    """What one task gives to the outer loop.

    `loss`: on the query set, a scalar. `predictions`: for it, [Q, ...]. `state`: the
    model's state afterwards. `model` and `meta`: the meta-gradients, in the
    structure of `Weights.model` and `Weights.meta`.
    """

    loss: Any
    predictions: Any
    state: list[Any]
    model: list[Any]
    meta: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Algorithm(abc.ABC):
    """How a network learns a task, written for one task.

    A subclass is a frozen dataclass: its fields are the hyper-parameters, its
    methods are pure. It must say `adapt`; the rest has defaults that fit any
    algorithm whose meta-gradient is the gradient of the query loss. Decorate it
    with `keras.saving.register_keras_serializable` to have it saved with a model.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Plain(Algorithm):
      ...     '''No adaptation: the joint training that others are compared with.'''
      ...     def adapt(self, network, weights, support, *, steps=None, training=False):
      ...         return weights
    """

    def check(self, network: Network) -> None:  # noqa: B027 - most have nothing to say
        """Raises ValueError if the algorithm cannot work with this network."""

    def outputs(self, network: Network) -> int | None:
        """The size of a prediction's last axis, where that is not the model's own; else None."""
        del network
        return None

    def output_spec(self, network: Network, x: Any) -> Any:
        """Shape and type of the predictions for inputs of the shape and type of `x`, [B, ...]."""
        spec, outputs = network.model.compute_output_spec(x), self.outputs(network)
        if outputs is None:
            return spec
        dtype = "float32" if spec.dtype in ("float16", "bfloat16") else spec.dtype
        return keras.KerasTensor((*spec.shape[:-1], outputs), dtype=dtype)

    def meta_weights(self, network: Network) -> dict[str, Any]:
        """Initial values of what is learned beside the weights, by name; none by default."""
        del network
        return {}

    def moving(self, network: Network) -> dict[str, Any]:
        """Initial values of what moves in training without being learned, by name.

        As the meta-weights it is found in `Weights.meta`; in `TaskResult.meta` it has how
        far a task moved it, of which the mean over the tasks is added. None by default.
        """
        del network
        return {}

    def initial(self, network: Network, weights: Weights) -> Weights | None:
        """What the network computes with before any inner step; the weights by default.

        None if it can say nothing before it has seen a support set.
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
        steps: Any = None,
        training: bool = False,
    ) -> Weights:
        """Learns one task from its support set.

        Args:
          network: the model and its loss.
          weights: where to start.
          support: the support set, [S, ...].
          steps: the number of inner steps; the algorithm's own if None.
          training: whether this happens inside meta-training.

        Returns:
          What `predict` needs; an algorithm with more to hand on than weights (say,
          prototypes) puts it into `Weights.meta`.
        """

    def trajectory(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        read: Callable[[Weights], Any],
        *,
        steps: int,
    ) -> Any:
        """What `read` says of the adapted weights after 0, 1, … `steps` inner steps.

        Args:
          network: the model and its loss.
          weights: where to start.
          support: the support set, [S, ...].
          read: a pure function of what `adapt` returns, to a structure of tensors.
          steps: the last number of inner steps.

        Returns:
          The structure that `read` returns, each tensor with an axis [steps + 1, ...]
          in front.
        """
        values = [read(self.adapt(network, weights, support, steps=k)) for k in range(steps + 1)]
        return tf.nest.map_structure(lambda *each: tf.stack(each), *values)

    def predict(self, network: Network, adapted: Weights, query_x: Any) -> Any:
        """Predictions [Q, ...] of an adapted network for a query set [Q, ...]."""
        return self.read_out(adapted, network(adapted, query_x))

    def read_out(self, adapted: Weights, outputs: Any) -> Any:
        """Predictions [Q, ...] from the model's outputs for a query set; these by default."""
        del adapted
        return outputs

    def task_loss(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        iteration: Any = 0,
    ) -> tuple[Any, Any, list]:
        """The loss that meta-training minimises: `(loss, predictions, new state)`.

        `iteration` is the number of outer steps made, for what changes with it.
        """
        del iteration
        adapted = self.adapt(network, weights, support, training=True)
        return network.query_loss(
            adapted, query, training=True, head=lambda x: self.read_out(adapted, x)
        )

    def meta_gradients(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        scale: Any = 1.0,
        iteration: Any = 0,
    ) -> TaskResult:
        """The value of `task_loss` and its gradient times `scale`.

        `scale` is the loss scale of float16 training: it has to be in before the
        gradient is taken, so that small gradients do not vanish. `iteration` is the number
        of outer steps made.
        """
        sources = (weights.model, weights.meta)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            loss, predictions, state = self.task_loss(
                network, weights, support, query, iteration=iteration
            )
            scaled = loss * tf.cast(scale, loss.dtype)
        model, meta = tape.gradient(
            scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return TaskResult(loss, predictions, state, [tf.convert_to_tensor(g) for g in model], meta)

    def get_config(self) -> dict[str, Any]:
        """The settings, for saving."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Algorithm:
        """The algorithm with these settings."""
        return cls(**config)
