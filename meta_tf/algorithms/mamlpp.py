"""MAML++: MAML with settings that stabilise its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.base import Algorithm, TaskResult, gradients_of
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.checks import check_choice, check_integer, check_switch
from meta_tf.network.masks import packed, unpacked
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Tensors, Weights

_NORM, _STATISTICS = "step_norm", "step_statistics"


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class MAMLPlusPlus(InnerLoop):
    """MAML++: MAML with a loss after every step, and learning rates and normalisation per step.

    With w_i the weights after i of k inner steps and a_i the step's own scale and shift of
    batch normalisation,

        w_0 = w,   w_{i+1} = w_i - α_i ∇L_S(w_i; a_i)
        meta-gradient: d Σ_i v_i L_Q(w_i; a_i) / d(w, α, a),   i = 1 … k,   a_k = a_{k-1}
        v_i = (1 - p)/k for i < k,   v_k = 1 - (k - 1)(1 - p)/k

    where p grows from 0 to 1 over the first `multi_step_loss` outer steps: at first all
    steps have the same weight, in the end only the last step counts. Each option can be
    switched off independently; with all options off, this is MAML. For the paper's cosine
    annealing, use `keras.optimizers.schedules.CosineDecay` in the outer optimiser.

    The authors' program differs in three points. It uses a_{i-1} instead of a_i in
    L_Q(w_i; a_i): the query set uses the normalisation of the step that was just taken.
    p grows once per epoch, and v_i stays at or above 0.03/k until p reaches its end. The
    query sets after every step, not only after the last, update the moving averages.

    Args:
      inner_lr: the step size α of the inner loop, for the mean loss over the support set,
        or the initial value of learned step sizes.
      inner_steps: inner steps k in meta-training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None. Steps
        beyond k use the learning rates and the normalisation of step k.
      learned_lr: which step sizes α are learned, as in `MAML`; the authors learn one per
        tensor and step.
      multi_step_loss: outer steps during which the losses after earlier steps count; 0 for
        none. The authors' 10 epochs are 5000.
      derivative_order_annealing: first-order outer steps before second order begins; 0 for
        none, as in the paper's Omniglot settings.
      per_step_norm: learns a scale and a shift of each batch normalisation for every
        inner step, regardless of `adapted`. Gradient steps do not change them; they start
        from the model's own. No effect on a model without batch normalisation.
      per_step_statistics: keeps moving averages for every inner step, and evaluates step i
        with those of step i. Only the batch-norm mode `running` uses them.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are unrolled; more run in a loop that takes
        hardly any memory per step and about a third more time. With `multi_step_loss`,
        the steps of meta-training are always unrolled.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if `adapted`
        matches no weight, or if `per_step_statistics` is set without batch normalisation
        or with another batch-norm mode.

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
    learned_lr: str | None = "tensor_step"
    multi_step_loss: int = 5000
    derivative_order_annealing: int = 0
    per_step_norm: bool = True
    per_step_statistics: bool = False

    least_steps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switch("per_step_norm", self.per_step_norm)
        check_switch("per_step_statistics", self.per_step_statistics)
        check_choice("learned_lr", self.learned_lr, inner_optimizers.LEARNED_RATES)
        check_integer("multi_step_loss", self.multi_step_loss, at_least=0)
        check_integer("derivative_order_annealing", self.derivative_order_annealing, at_least=0)

    def check(self, network: Network) -> None:
        super().check(network)
        if not self._descending(network):
            chosen = ", ".join(network.paths[p] for p in network.positions(self.adapted))
            raise ValueError(
                "`adapted` must select a weight besides batch normalisation's scale and shift, "
                "which `per_step_norm` excludes from the gradient steps. Received: "
                f"{self.adapted!r}, which selects only {chosen}. Set "
                "`per_step_norm=False`, or let other weights adapt."
            )
        if self.per_step_statistics and not (
            network.batch_norms and network.batch_norm == "running"
        ):
            raise ValueError(
                "`per_step_statistics` needs a model with batch normalisation, and "
                'MetaLearner(..., batch_norm="running"): the other modes do not use moving '
                f"averages. Received: batch_norm={network.batch_norm!r} and "
                f"{len(network.batch_norms)} such layers in {network.model.name!r}."
            )

    def meta_weights(self, network: Network) -> dict[str, Tensor]:
        weights = {network.paths[p]: network.weights.model[p] for p in self._descending(network)}
        rates = inner_optimizers.initial_rates(
            self.learned_lr, self.inner_lr, self.inner_steps, weights
        )
        tables = {
            f"{_NORM}/{network.paths[p]}": self._table(network.weights.model[p])
            for p in self._norms(network)
        }
        return {**rates, **tables}

    def moving(self, network: Network) -> dict[str, Tensor]:
        return {
            f"{_STATISTICS}/{s}": self._table(network.weights.state[s])
            for s in self._statistics(network)
        }

    def initial(self, network: Network, weights: Weights) -> Weights:
        """The weights, with the first step's scale, shift and moving averages inserted."""
        model, state = list(weights.model), list(weights.state)
        for p in self._norms(network):
            model[p] = weights.meta[f"{_NORM}/{network.paths[p]}"][0]
        for s in self._statistics(network):
            state[s] = weights.meta[f"{_STATISTICS}/{s}"][0]
        return weights._replace(model=model, state=state)

    def with_rate(self, rate: Tensor) -> Algorithm | None:
        return super().with_rate(rate) if self.learned_lr is None else None

    def positions(self, network: Network) -> list[int]:
        """The weights updated by gradients, followed by those that depend on the step's number."""
        return [*self._descending(network), *self._norms(network)]

    def memory(self, network: Network, start: Weights, *, training: bool) -> Tensors:
        """In training, the tables of moving averages per step."""
        if not training:
            return {}
        names = [f"{_STATISTICS}/{s}" for s in self._statistics(network)]
        return {name: start.meta[name] for name in names}

    def change(
        self,
        network: Network,
        i: int | Tensor,
        state: LoopState,
        gradients: list[Tensor],
        start: Weights,
        *,
        training: bool,
    ) -> LoopState:
        """Updates with the rates of step i, then inserts the next step's scale, shift, averages.

        Before a step, its scale, shift and averages are in the weights and the state. After
        the step, its moving averages are written back to their table.
        """
        descending = self._descending(network)
        paths = network.paths_at(descending)
        count = len(descending)
        rates = inner_optimizers.rates_at(self.learned_lr, self.inner_lr, start.meta, i, paths)
        fast = inner_optimizers.descend(state.fast[:count], gradients[:count], rates)
        norms = network.paths_at(self._norms(network))
        tables = [start.meta[f"{_NORM}/{path}"] for path in norms]
        fast += [inner_optimizers.row(table, i + 1) for table in tables]
        memory, after = dict(state.memory), list(state.state)
        for s in self._statistics(network):
            name = f"{_STATISTICS}/{s}"
            if training:
                memory[name] = _with_row(memory[name], i, after[s])
            after[s] = inner_optimizers.row(memory.get(name, start.meta[name]), i + 1)
        return LoopState(fast, after, memory)

    def task_loss(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        *,
        iteration: int | Tensor = 0,
    ) -> tuple[Tensor, Tensors, list[Tensor]]:
        loss, predictions, state, _ = self._loss(network, weights, support, query, iteration)
        return loss, predictions, state

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
        def learn(several: bool, first_order: bool) -> TaskResult:
            (loss, predictions, state, tables), gradients, meta = gradients_of(
                lambda: self._loss(
                    network, weights, support, query, iteration, several, first_order
                ),
                weights,
                scale,
            )
            meta = {name: g for name, g in meta.items() if name not in tables}
            moved = {name: table - weights.meta[name] for name, table in tables.items()}
            return TaskResult(loss, predictions, state, gradients, meta, moved)

        # A separate program for each phase, so that losses and second derivatives are not
        # computed while they are not used.
        def by_order(several: bool) -> TaskResult:
            return _until(
                self.derivative_order_annealing, iteration, lambda first: learn(several, first)
            )

        return _until(self.multi_step_loss, iteration, by_order)

    def _loss(
        self,
        network: Network,
        weights: Weights,
        support: Examples,
        query: Examples,
        iteration: int | Tensor,
        several: bool = True,
        first_order: bool = False,
    ) -> tuple[Tensor, Tensors, list[Tensor], dict[str, Tensor]]:
        """The weighted loss, the last predictions, the state and the tables of statistics."""
        start = self.start(network, weights, support, training=True)

        def query_loss(state: LoopState) -> tuple[Tensor, Tensors, list[Tensor]]:
            adapted = self.finish(network, state, start, support, training=True)
            return self.query_loss(network, adapted, query)

        if not (several and self.multi_step_loss):
            state = self.run(
                network, start, support, self.inner_steps, training=True, first_order=first_order
            )
            loss, predictions, after = query_loss(state)
            return loss, predictions, after, self._tables(state, after)
        losses, state = [], self.begin(network, start, training=True)
        for i in range(self.inner_steps):
            state = self.step(
                network, i, state, start, support, training=True, first_order=first_order
            )
            loss, predictions, after = query_loss(state)
            losses.append(loss)
        shares = loss_shares(self.inner_steps, iteration, self.multi_step_loss, loss.dtype)
        total = tf.add_n([v * one for v, one in zip(tf.unstack(shares), losses, strict=True)])
        return total, predictions, after, self._tables(state, after)

    def _tables(self, state: LoopState, after: list[Tensor]) -> dict[str, Tensor]:
        """The tables of statistics at the end: the query set updates the last row."""
        last = self.inner_steps - 1
        return {
            name: _with_row(table, last, after[int(name.split("/")[1])])
            for name, table in state.memory.items()
        }

    def _descending(self, network: Network) -> list[int]:
        """The indices of the weights that gradients update."""
        norms = self._norms(network)
        return [p for p in network.positions(self.adapted) if p not in norms]

    def _norms(self, network: Network) -> list[int]:
        """The indices of the scales and shifts that depend on the step's number."""
        if not self.per_step_norm:
            return []
        own = {id(v) for layer in network.batch_norms for v in layer.trainable_variables}
        return [i for i, v in enumerate(network.model.trainable_variables) if id(v) in own]

    def _statistics(self, network: Network) -> list[int]:
        """The indices of batch normalisation's moving averages in the state."""
        if not self.per_step_statistics:
            return []
        own = {
            id(v)
            for layer in network.batch_norms
            if layer.trainable
            for v in (layer.moving_mean, layer.moving_variance)
        }
        return [i for i, v in enumerate(network.model.non_trainable_variables) if id(v) in own]

    def _table(self, value: Tensor) -> Tensor:
        """A table with one row per inner step, each equal to `value`."""
        return tf.repeat(value[tf.newaxis], self.inner_steps, axis=0)


def loss_shares(
    steps: int, iteration: int | Tensor, annealed: int, dtype: Any = tf.float32
) -> Tensor:
    """The weights v_1 … v_k of the losses after each inner step, [k]; their sum is 1.

    p = min(1, iteration / annealed),   v_i = (1 - p)/k,   v_k = 1 - (k - 1)(1 - p)/k
    """
    p = tf.minimum(tf.cast(1, dtype), tf.cast(iteration, dtype) / annealed)
    early = (1 - p) / steps
    return tf.concat([tf.fill([steps - 1], early), [1 - (steps - 1) * early]], 0)


def _until(
    iterations: int, iteration: int | Tensor, program: Callable[[bool], TaskResult]
) -> TaskResult:
    """`program(True)` during the first `iterations` outer steps, then `program(False)`."""
    if not iterations:
        return program(False)

    def branch(first: bool) -> TaskResult:
        result = program(first)
        return result._replace(predictions=packed(result.predictions))

    result = tf.cond(
        tf.cast(iteration, tf.int32) < iterations, lambda: branch(True), lambda: branch(False)
    )
    return result._replace(predictions=unpacked(result.predictions))


def _with_row(table: Tensor, i: int | Tensor, value: Tensor) -> Tensor:
    """The table with row i replaced, or the last row if there are fewer."""
    here = tf.range(table.shape[0]) == tf.minimum(i, table.shape[0] - 1)
    return tf.where(here[:, tf.newaxis], value, table)
