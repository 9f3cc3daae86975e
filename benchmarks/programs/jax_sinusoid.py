"""The default run of `train.py`, written in JAX: `python -m benchmarks.programs.jax_sinusoid DIR`.

MAML on sine waves, 10-shot, one inner step with a learning rate of 0.01, 25 tasks generated for
each of 70 000 outer Adam steps. After each scan over 5 000 steps, evaluates 200 validation tasks
and writes a file of weights; at the end, reports the mean squared error of 600 new tasks after
0 … 10 inner steps.
"""

from __future__ import annotations

import itertools
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.programs.jax_networks import mlp
from benchmarks.programs.jax_step import adam

STEPS, EVERY, TASKS, SHOTS, INNER_LR = 70_000, 5_000, 25, 10, 0.01
_Weights = Any


def tasks_of(key: jax.Array, tasks: int) -> tuple[jax.Array, ...]:
    """Sine waves: support and query inputs and targets, each [T, S, 1]."""
    a, b, c = jax.random.split(key, 3)
    amplitude = jax.random.uniform(a, [tasks, 1, 1], minval=0.1, maxval=5.0)
    phase = jax.random.uniform(b, [tasks, 1, 1], maxval=np.pi)
    x = jax.random.uniform(c, [tasks, 2 * SHOTS, 1], minval=-5.0, maxval=5.0)
    y = amplitude * jnp.sin(x - phase)
    return x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:], y[:, SHOTS:]


def error(weights: _Weights, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.square(mlp(weights, x) - y).mean()


def inner_step(weights: _Weights, x: jax.Array, y: jax.Array) -> _Weights:
    gradients = jax.grad(error)(weights, x, y)
    return [w - INNER_LR * g for w, g in zip(weights, gradients, strict=True)]


def task_loss(weights: _Weights, task: tuple[jax.Array, ...]) -> jax.Array:
    support_x, support_y, query_x, query_y = task
    return error(inner_step(weights, support_x, support_y), query_x, query_y)


def mean_loss(weights: _Weights, tasks: tuple[jax.Array, ...]) -> jax.Array:
    return jax.vmap(task_loss, (None, 0))(weights, tasks).mean()


@partial(jax.jit, static_argnums=2)
def train(state: Any, key: jax.Array, steps: int) -> tuple[Any, jax.Array]:
    """Runs outer steps; returns their mean loss."""

    def step(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        loss, gradients = jax.value_and_grad(mean_loss)(state[0], tasks_of(key, TASKS))
        return adam(state, gradients), loss

    state, losses = jax.lax.scan(step, state, jax.random.split(key, steps))
    return state, losses.mean()


validate = jax.jit(lambda weights, key: mean_loss(weights, tasks_of(key, 200)))


@jax.jit
def trajectories(weights: _Weights, key: jax.Array) -> jax.Array:
    """The errors of 600 new tasks after 0 … 10 inner steps, [600, 11]."""

    def of_one(task: tuple[jax.Array, ...]) -> jax.Array:
        support_x, support_y, query_x, query_y = task
        fast, errors = weights, []
        for _ in range(11):
            errors.append(error(fast, query_x, query_y))
            fast = inner_step(fast, support_x, support_y)
        return jnp.stack(errors)

    return jax.vmap(of_one)(tasks_of(key, 600))


def main(folder: Path) -> None:
    key = jax.random.key(0)
    sizes = [1, 40, 40, 1]
    weights = []
    for n, m in itertools.pairwise(sizes):
        key, one = jax.random.split(key)
        weights += [0.01 * jax.random.truncated_normal(one, -2, 2, [n, m]), jnp.zeros([m])]
    zeros = [jnp.zeros_like(w) for w in weights]
    state: Any = (weights, zeros, zeros, jnp.float32(0))
    for done in range(EVERY, STEPS + 1, EVERY):
        key, training, validation = jax.random.split(key, 3)
        state, loss = train(state, training, EVERY)
        val_loss = validate(state[0], validation)
        np.savez(folder / f"{done}.npz", *state[0])
        print(f"{done}: loss {float(loss):.4f}, val_loss {float(val_loss):.4f}", flush=True)
    errors = np.asarray(trajectories(state[0], jax.random.key(1)))
    intervals = 1.96 * errors.std(0, ddof=1) / np.sqrt(len(errors))
    for step, (mean, interval) in enumerate(zip(errors.mean(0), intervals, strict=True)):
        print(f"{step:2} inner steps: {mean:.4f} ± {interval:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
