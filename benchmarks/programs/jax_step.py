"""The compiled step of `jax_peer`; importing this starts JAX."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks.harness.workloads import META_LR, Work, initial_weights, tasks_of
from benchmarks.programs import jax_networks as nets
from benchmarks.programs.jax_in_context import in_context

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
_Weights = Sequence[jax.Array]
_Tasks = dict[str, jax.Array]


class Step:
    """A MAML step with Adam; `settings["scan"]` steps in one call, otherwise one."""

    def __init__(self, work: Work, settings: dict):
        self.work, self.settings = work, settings
        self.loss = nets.loss(work)
        if work.network != "in_context":  # one network for support and query, that adapts
            self.net = nets.network(work, settings)
        devices = jax.devices("cpu")[: settings.get("devices", 1)]
        if work.tasks % len(devices):
            devices = devices[:1]  # the number of tasks is odd
        self.mesh = Mesh(np.array(devices), ("tasks",))
        put = partial(jax.device_put, device=NamedSharding(self.mesh, P()))
        self.weights = [put(w) for w in initial_weights(work)]
        zeros = [jnp.zeros_like(w) for w in self.weights]
        self.state = (self.weights, zeros, [jnp.zeros_like(w) for w in zeros], put(np.float32(0)))
        split = NamedSharding(self.mesh, P("tasks"))
        self.tasks = {n: jax.device_put(t, split) for n, t in tasks_of(work).items()}
        self.call = jax.jit(self._many if settings.get("scan") else self._one, donate_argnums=0)
        self.gradients = jax.jit(self.meta_gradients)
        self.learn = jax.jit(self._learned)
        some = np.arange(settings.get("serve", 1)) % work.tasks
        self.new = {n: t[some] for n, t in tasks_of(work).items() if n != "query_y"}

    def run(self, steps: int) -> None:
        for _ in range(steps // self.settings.get("scan", 1)):
            self.state = self.call(self.state, self.tasks)
        jax.block_until_ready(self.state)

    def profile(self, steps: int, folder: str) -> None:
        with jax.profiler.trace(folder):
            self.run(steps)

    def agree(self) -> tuple[float, list[np.ndarray]]:
        loss, gradients = self.gradients(
            [jnp.asarray(w) for w in initial_weights(self.work)], self.tasks
        )
        return float(loss), [np.asarray(g) for g in gradients]

    def meta_gradients(self, weights: _Weights, tasks: _Tasks) -> Any:
        """The mean loss over tasks and its gradient."""
        share = jax.shard_map(
            self._share, mesh=self.mesh, in_specs=(P(), P("tasks")), out_specs=P(), check_vma=False
        )
        return share(weights, tasks)

    def _share(self, weights: _Weights, tasks: _Tasks) -> Any:
        """The work of one device: its own tasks, then the mean over devices."""
        if self.settings["tasks"] == "vmap":

            def mean_loss(weights: _Weights) -> jax.Array:
                return jax.vmap(self.task_loss, (None, 0))(weights, tasks).mean()

            result = jax.value_and_grad(mean_loss)(weights)
        else:
            each = partial(jax.value_and_grad(self.task_loss), weights)
            results = jax.lax.map(each, tasks)
            result = jax.tree.map(lambda r: r.mean(0), results)
        return jax.lax.pmean(result, "tasks") if self.mesh.size > 1 else result

    def task_loss(self, weights: _Weights, task: _Tasks) -> jax.Array:
        return self.loss(self.learned(weights, task), task["query_y"])

    def learned(self, weights: _Weights, task: _Tasks) -> jax.Array:
        """The predictions for the queries of a task."""
        if self.work.network == "in_context":
            return in_context(weights, task["support_x"], task["support_y"], task["query_x"])
        return self.net(self.adapted(weights, task), task["query_x"])

    def adapted(self, weights: _Weights, task: _Tasks) -> _Weights:
        def support_loss(fast: _Weights) -> jax.Array:
            return self.loss(self.net(fast, task["support_x"]), task["support_y"])

        fast = weights
        for _ in range(self.work.inner_steps):
            gradients = jax.grad(support_loss)(fast)
            fast = [w - self.work.inner_lr * g for w, g in zip(fast, gradients, strict=True)]
        return fast

    def new_task(self) -> None:
        """Learns new tasks and predicts their queries, in one compiled program."""
        np.asarray(self.learn(self.weights, self.new))

    def _learned(self, weights: _Weights, tasks: _Tasks) -> jax.Array:
        return jax.lax.map(lambda t: self.learned(weights, t), tasks)

    def _one(self, state: Any, tasks: _Tasks) -> Any:
        return adam(state, self.meta_gradients(state[0], tasks)[1])

    def _many(self, state: Any, tasks: _Tasks) -> Any:
        def body(state: Any, _: None) -> tuple[Any, None]:
            return self._one(state, tasks), None

        return jax.lax.scan(body, state, length=self.settings["scan"])[0]


def adam(state: Any, gradients: _Weights) -> Any:
    """A step of Adam as in Keras: weights, both moments and the count after it."""
    weights, first, second, count = state
    count = count + 1
    rate = META_LR * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
    first = [m + (1 - BETA_1) * (g - m) for m, g in zip(first, gradients, strict=True)]
    second = [v + (1 - BETA_2) * (g * g - v) for v, g in zip(second, gradients, strict=True)]
    weights = [
        w - rate * m / (jnp.sqrt(v) + EPSILON)
        for w, m, v in zip(weights, first, second, strict=True)
    ]
    return weights, first, second, count
