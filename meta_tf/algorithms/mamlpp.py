"""MAML++: MAML with the settings that make its training steady."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import Algorithm, TaskResult
from meta_tf.algorithms.inner_loop import (
    Descent,
    Moment,
    check_inner_loop,
    constants,
    steps_to_take,
)
from meta_tf.checks import as_patterns, check_choice, check_integer, check_switch
from meta_tf.network.network import Network
from meta_tf.types import Examples, Weights

_NORM, _STATISTICS = "step_norm", "step_statistics"


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class MAMLPlusPlus(Algorithm):
    """MAML++: MAML with a loss after every step, and rates and normalisation by step.

    With w_i the weights after i of k inner steps and a_i the step's own scale and shift of
    batch normalisation,

        w_0 = w,   w_{i+1} = w_i - α_i ∇L_S(w_i; a_i)
        meta-gradient: d Σ_i v_i L_Q(w_i; a_i) / d(w, α, a),   i = 1 … k,   a_k = a_{k-1}
        v_i = (1 - p)/k for i < k,   v_k = 1 - (k - 1)(1 - p)/k

    where p grows from 0 to 1 over the first `multi_step_loss` outer steps: at first all
    steps count alike, then the last alone. Each option can be switched off by itself;
    with all of them off this is MAML. The paper's cosine annealing is the outer
    optimiser's: `keras.optimizers.schedules.CosineDecay`.

    The authors' program differs in three points: it has a_{i-1} where L_Q(w_i; a_i) stands,
    so that the query set passes the step that was just taken; p grows by the epoch, and v_i
    not below 0.03/k until its end; and query sets after every step, not after the last
    alone, move the moving averages.

    Args:
      inner_lr: the step size α of the inner loop, for the mean loss over the support set,
        or where the learned ones start.
      inner_steps: inner steps k in meta-training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None. Steps
        beyond k take the rates and the normalisation of the last.
      learned_lr: what is learned of α, as in `MAML`; the authors' is one a tensor and step.
      multi_step_loss: outer steps during which the losses after earlier steps count; 0 for
        none. The authors' 10 epochs are 5000.
      derivative_order_annealing: outer steps made in first order before second order
        begins; 0 for none, as in the paper's Omniglot settings.
      per_step_norm: learns a scale and a shift of each batch normalisation for every
        inner step, whatever `adapted` says; gradient steps leave these alone, and the
        model's own are where they start. No effect on a model without.
      per_step_statistics: keeps moving averages for every inner step, and evaluates step i
        with those of step i. Only the batch-norm mode `running` ever looks at them.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are written out; more run in a loop that takes
        hardly any memory a step and about a third more time. With `multi_step_loss`
        those of meta-training are always written out.

    Raises:
      ValueError: if a setting is out of its range, or at the construction of the learner
        if `adapted` matches no weight, or `per_step_statistics` finds no batch
        normalisation or another batch-norm mode.

    Example:
      >>> learner = meta_tf.MetaLearner(
      ...     meta_tf.models.conv4(ways=5, filters=8),
      ...     MAMLPlusPlus(inner_lr=0.1, inner_steps=3),
      ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      ... )
      >>> fitted = learner.adapt(tf.zeros([5, 28, 28, 1]), tf.range(5))

    Reference:
      Antoniou, Edwards & Storkey 2019, How to Train Your MAML.
    """

    inner_lr: float = 0.1
    inner_steps: int = 5
    eval_steps: int | None = None
    learned_lr: str | None = "tensor_step"
    multi_step_loss: int = 5000
    derivative_order_annealing: int = 0
    per_step_norm: bool = True
    per_step_statistics: bool = False
    adapted: str | tuple[str, ...] | None = None
    unroll: int = 8

    def __post_init__(self):
        check_inner_loop(self, least_steps=1)
        check_switch("per_step_norm", self.per_step_norm)
        check_switch("per_step_statistics", self.per_step_statistics)
        check_choice("learned_lr", self.learned_lr, inner_optimizers.LEARNED_RATES)
        check_integer("multi_step_loss", self.multi_step_loss, at_least=0)
        check_integer("derivative_order_annealing", self.derivative_order_annealing, at_least=0)
        object.__setattr__(self, "adapted", as_patterns("adapted", self.adapted))

    def check(self, network: Network) -> None:
        if not self._positions(network)[0]:
            chosen = ", ".join(network.paths[p] for p in network.positions(self.adapted))
            raise ValueError(
                "`adapted` must choose a weight beside batch normalisation's scale and shift, "
                "which `per_step_norm` takes out of the gradient steps. Received: "
                f"{self.adapted!r}, which chooses {chosen} alone. Set "
                "`per_step_norm=False`, or let other weights adapt."
            )
        if self.per_step_statistics and not (
            network.batch_norms and network.batch_norm == "running"
        ):
            raise ValueError(
                "`per_step_statistics` needs a model with batch normalisation, and "
                'MetaLearner(..., batch_norm="running"): the other modes never look at moving '
                f"averages. Received: batch_norm={network.batch_norm!r} and "
                f"{len(network.batch_norms)} such layers in {network.model.name!r}."
            )

    def meta_weights(self, network: Network) -> dict[str, Any]:
        adapting, norms = self._positions(network)
        weights = {network.paths[p]: network.weights.model[p] for p in adapting}
        rates = inner_optimizers.initial_rates(
            self.learned_lr, self.inner_lr, self.inner_steps, weights
        )
        tables = {
            f"{_NORM}/{network.paths[p]}": self._table(network.weights.model[p]) for p in norms
        }
        return {**rates, **tables}

    def moving(self, network: Network) -> dict[str, Any]:
        return {
            f"{_STATISTICS}/{s}": self._table(network.weights.state[s])
            for s in self._statistics(network)
        }

    def initial(self, network: Network, weights: Weights) -> Weights:
        """The weights with the first rows of scale, shift and moving averages in their places."""
        model, state = list(weights.model), list(weights.state)
        for p in self._positions(network)[1]:
            model[p] = weights.meta[f"{_NORM}/{network.paths[p]}"][0]
        for s in self._statistics(network):
            state[s] = weights.meta[f"{_STATISTICS}/{s}"][0]
        return weights._replace(model=model, state=state)

    def adapt(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        *,
        steps: Any = None,
        training: bool = False,
    ) -> Weights:
        steps = steps_to_take(self, steps, training)
        descent, start = self._descent(network, weights, training)
        moment = descent.steps(start, weights, support, steps, self.unroll)
        return descent.weights_at(moment, weights, support)

    def trajectory(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        read: Callable[[Weights], Any],
        *,
        steps: int,
    ) -> Any:
        descent, start = self._descent(network, weights, training=False)
        return descent.trajectory(start, weights, support, steps, read)

    def task_loss(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        iteration: Any = 0,
    ) -> tuple[Any, Any, list]:
        loss, predictions, state, _ = self._loss(network, weights, support, query, iteration)
        return loss, predictions, state

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
        def learn(several, first_order):
            sources = (weights.model, weights.meta)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                loss, predictions, state, tables = self._loss(
                    network, weights, support, query, iteration, several, first_order
                )
                scaled = loss * tf.cast(scale, loss.dtype)
            model, meta = tape.gradient(
                scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            moved = {name: table - weights.meta[name] for name, table in tables.items()}
            gradients = [tf.convert_to_tensor(g) for g in model]
            return TaskResult(loss, predictions, state, gradients, {**meta, **moved})

        # A program for each phase: many losses and second derivatives cost nothing while they
        # do not count.
        def by_order(several):
            return _until(
                self.derivative_order_annealing, iteration, lambda first: learn(several, first)
            )

        return _until(self.multi_step_loss, iteration, by_order)

    def _loss(self, network, weights, support, query, iteration, several=True, first_order=False):
        """The weighted loss, the last predictions, the state and the tables of statistics."""
        descent, moment = self._descent(network, weights, True, first_order)
        if not (several and self.multi_step_loss):
            moment = descent.steps(moment, weights, support, self.inner_steps, self.unroll)
            adapted = descent.weights_at(moment, weights, support)
            loss, predictions, state = network.query_loss(adapted, query, training=True)
            return loss, predictions, state, self._tables(network, moment, state)
        losses = []
        for i in range(self.inner_steps):
            moment = descent.step(i, moment, (weights, support))
            adapted = descent.weights_at(moment, weights, support)
            loss, predictions, state = network.query_loss(adapted, query, training=True)
            losses.append(loss)
        shares = loss_shares(self.inner_steps, iteration, self.multi_step_loss, loss.dtype)
        total = tf.add_n([v * one for v, one in zip(tf.unstack(shares), losses, strict=True)])
        return total, predictions, state, self._tables(network, moment, state)

    def _descent(self, network, weights, training, first_order=False):
        """The inner loop, and the moment that it starts from.

        Scale, shift and moving averages of step i take their places in the weights and the
        state before it; its moving averages go back to their table after it.
        """
        adapting, norms = self._positions(network)
        paths = [network.paths[p] for p in adapting]
        statistics = self._statistics(network)

        def change(i, moment, gradients, weights):
            tables = [weights.meta[f"{_NORM}/{network.paths[p]}"] for p in norms]
            gradients = gradients[: len(adapting)]
            memory = dict(moment.memory)
            if first_order:
                gradients = constants(gradients)
            rates = inner_optimizers.rates_at(
                self.learned_lr, self.inner_lr, weights.meta, i, paths
            )
            fast, _ = inner_optimizers.update(
                "sgd", i, moment.fast[: len(adapting)], gradients, [], rates
            )
            following = [inner_optimizers.row(table, i + 1) for table in tables]
            state = list(moment.state)
            for s in statistics:
                name = f"{_STATISTICS}/{s}"
                if training:
                    memory[name] = _with_row(memory[name], i, state[s])
                    state[s] = inner_optimizers.row(memory[name], i + 1)
                else:
                    state[s] = inner_optimizers.row(weights.meta[name], i + 1)
            return Moment([*fast, *following], state, memory)

        descent = Descent(network, [*adapting, *norms], change, training)
        names = [f"{_STATISTICS}/{s}" for s in statistics] if training else []
        memory = {name: weights.meta[name] for name in names}
        return descent, descent.start(self.initial(network, weights), memory)

    def _tables(self, network, moment, state):
        """The tables of statistics at the end: the query set moves the last row."""
        last = self.inner_steps - 1
        return {
            name: _with_row(table, last, state[int(name.split("/")[1])])
            for name, table in moment.memory.items()
        }

    def _positions(self, network):
        """Of the weights that adapt by gradients, and of those that change with the step."""
        norms = []
        if self.per_step_norm:
            own = {id(v) for layer in network.batch_norms for v in layer.trainable_variables}
            norms = [i for i, v in enumerate(network.model.trainable_variables) if id(v) in own]
        return [p for p in network.positions(self.adapted) if p not in norms], norms

    def _statistics(self, network):
        """Where the moving averages of batch normalisation stand in the state."""
        if not self.per_step_statistics:
            return []
        own = {
            id(v)
            for layer in network.batch_norms
            if layer.trainable
            for v in (layer.moving_mean, layer.moving_variance)
        }
        return [i for i, v in enumerate(network.model.non_trainable_variables) if id(v) in own]

    def _table(self, value):
        """A row for each inner step, all of them `value`."""
        return tf.repeat(value[tf.newaxis], self.inner_steps, axis=0)


def loss_shares(steps: int, iteration: Any, annealed: int, dtype: Any = tf.float32) -> Any:
    """The shares v_1 … v_k of the losses after each inner step, [k]; they add up to 1.

    p = min(1, iteration / annealed),   v_i = (1 - p)/k,   v_k = 1 - (k - 1)(1 - p)/k
    """
    p = tf.minimum(tf.cast(1, dtype), tf.cast(iteration, dtype) / annealed)
    early = (1 - p) / steps
    return tf.concat([tf.fill([steps - 1], early), [1 - (steps - 1) * early]], 0)


def _until(iterations, iteration, program):
    """`program(True)` during the first outer steps, so many, and `program(False)` after them."""
    if not iterations:
        return program(False)
    return tf.cond(
        tf.cast(iteration, tf.int32) < iterations,
        lambda: program(True),
        lambda: program(False),
    )


def _with_row(table, i, value):
    """The table with row i, or its last if there are fewer, replaced."""
    here = tf.range(table.shape[0]) == tf.minimum(i, table.shape[0] - 1)
    return tf.where(here[:, tf.newaxis], value, table)
