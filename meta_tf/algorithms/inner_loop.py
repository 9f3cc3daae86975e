"""The inner loop that the MAML family shares: steps by the gradient of the support loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from meta_tf.algorithms.repeat import record, repeat
from meta_tf.checks import check_integer, check_number
from meta_tf.network.network import Network
from meta_tf.types import Examples, Weights


class Moment(NamedTuple):
    """A moment of the inner loop.

    `fast`: the weights that adapt. `state`: the model's state. `memory`: what the rule of
    change keeps from step to step, for example an optimiser's slots.
    """

    fast: list[Any]
    state: list[Any]
    memory: Any


class Descent(NamedTuple):
    """An inner loop: which weights adapt, and how a gradient changes them.

    `positions`: of the weights that adapt, among `Weights.model`. `change`: a pure function
    of the step's number, the moment (with the state that the support set's pass left), the
    gradients of the support loss and the weights at the start; it returns the next moment.
    """

    network: Network
    positions: list[int]
    change: Callable[[Any, Moment, list[Any], Weights], Moment]
    training: bool = False

    def start(self, weights: Weights, memory: Any = ()) -> Moment:
        """The moment before the first step."""
        return Moment([weights.model[p] for p in self.positions], weights.state, memory)

    def steps(
        self, moment: Moment, weights: Weights, support: Examples, count: Any, unroll: int
    ) -> Moment:
        """The moment after `count` steps, with gradients to the moment and the weights."""
        return repeat(self.step, moment, (weights, support), count, unroll=unroll)

    def trajectory(
        self,
        moment: Moment,
        weights: Weights,
        support: Examples,
        count: int,
        read: Callable[[Weights], Any],
    ) -> Any:
        """What `read` says of the weights after 0, 1, … `count` steps, [count + 1, ...]."""
        return record(
            self.step,
            moment,
            (weights, support),
            count,
            lambda moment: read(self.weights_at(moment, weights, support)),
        )

    def weights_at(self, moment: Moment, weights: Weights, support: Examples) -> Weights:
        """The weights of a moment, ready to predict with."""
        adapted = self.at(moment, weights)
        return self.network.settle(adapted, support.x, training=self.training)

    def step(self, i: Any, moment: Moment, constants: tuple[Weights, Examples]) -> Moment:
        """The moment after step i; `constants` are the weights at the start and the support set."""
        weights, support = constants
        gradients, state = self.network.support_gradients(
            self.at(moment, weights), support, self.positions, training=self.training
        )
        return self.change(i, moment._replace(state=state), gradients, weights)

    def at(self, moment: Moment, weights: Weights) -> Weights:
        """The weights of a moment, before the model has looked at the support set once more."""
        model = list(weights.model)
        for p, w in zip(self.positions, moment.fast, strict=True):
            model[p] = w
        return weights._replace(model=model, state=moment.state)


def check_inner_loop(algorithm: Any, least_steps: int = 0) -> None:
    """Raises ValueError unless the settings that every inner loop has are in their range."""
    if not tf.is_tensor(algorithm.inner_lr):  # an exported model takes it at run time
        check_number("inner_lr", algorithm.inner_lr, above=0)
    check_integer("inner_steps", algorithm.inner_steps, at_least=least_steps)
    if algorithm.eval_steps is not None:
        check_integer("eval_steps", algorithm.eval_steps, at_least=0)
    check_integer("unroll", algorithm.unroll, at_least=0)


def steps_to_take(algorithm: Any, steps: Any, training: bool) -> Any:
    """The number of inner steps to take: `steps`, or what the algorithm has been set to."""
    if steps is None:
        own = training or algorithm.eval_steps is None
        steps = algorithm.inner_steps if own else algorithm.eval_steps
    return steps if tf.is_tensor(steps) else int(steps)


def constants(gradients: list[Any]) -> list[Any]:
    """The gradients, for a meta-gradient that does not look into them (first order)."""
    return [tf.stop_gradient(g) for g in gradients]
