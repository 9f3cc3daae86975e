"""PyTorch with `torch.func`: all tasks in one program with `vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.func import grad, grad_and_value, vmap

from benchmarks.harness.workloads import META_LR, Work, initial_weights, tasks_of
from benchmarks.programs import torch_networks as nets


def build(work: Work, settings: dict) -> Vmap:
    return Vmap(work, settings)


class Vmap:
    """Takes the gradient around `vmap`, or `inside` it; which is faster depends on the work."""

    def __init__(self, work: Work, settings: dict):
        torch.set_flush_denormal(True)
        torch.set_num_threads(settings.get("threads", 1))
        self.work = work
        self.net, self.loss = (
            nets.network(work, settings.get("written_norm", False)),
            nets.loss(work),
        )
        self.weights = tuple(nets.weights_to_torch(work, initial_weights(work)))
        tasks = nets.tasks_to_torch(work, tasks_of(work))
        self.tasks = [tasks[n] for n in ("support_x", "support_y", "query_x", "query_y")]
        self.optimizer = torch.optim.Adam(self.weights, META_LR, eps=1e-7, fused=True)
        take = self._inside if settings.get("inside") else self._around
        self.meta_gradients = take()
        if settings.get("compile"):
            self.meta_gradients = torch.compile(self.meta_gradients)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            gradients, _ = self.meta_gradients(self.weights, *self.tasks)
            for w, g in zip(self.weights, gradients, strict=True):
                w.grad = g
            self.optimizer.step()

    def agree(self) -> tuple[float, list[np.ndarray]]:
        gradients, loss = self.meta_gradients(self.weights, *self.tasks)
        return float(loss), nets.weights_to_keras(self.work, gradients)

    def _around(self) -> Callable[..., Any]:
        def mean_loss(weights: Sequence[torch.Tensor], *tasks: torch.Tensor) -> torch.Tensor:
            return vmap(self.task_loss, (None, 0, 0, 0, 0))(weights, *tasks).mean()

        return grad_and_value(mean_loss)

    def _inside(self) -> Callable[..., Any]:
        mapped = vmap(grad_and_value(self.task_loss), (None, 0, 0, 0, 0))

        def mean_gradients(weights: Sequence[torch.Tensor], *tasks: torch.Tensor) -> Any:
            gradients, losses = mapped(weights, *tasks)
            return [g.mean(0) for g in gradients], losses.mean()

        return mean_gradients

    def task_loss(self, weights: Sequence[torch.Tensor], *task: torch.Tensor) -> torch.Tensor:
        support_x, support_y, query_x, query_y = task

        def support_loss(fast: Sequence[torch.Tensor]) -> torch.Tensor:
            return self.loss(self.net(fast, support_x), support_y)

        fast = weights
        for _ in range(self.work.inner_steps):
            gradients = grad(support_loss)(fast)
            fast = tuple(w - self.work.inner_lr * g for w, g in zip(fast, gradients, strict=True))
        return self.loss(self.net(fast, query_x), query_y)
