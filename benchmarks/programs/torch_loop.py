"""PyTorch with a loop over tasks, as in learn2learn, higher and most ports of MAML.

Networks are plain functions of their weights, which avoids the overhead of `functional_call`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from benchmarks.harness.workloads import META_LR, Work, initial_weights, tasks_of
from benchmarks.programs import torch_networks as nets

_Tensors = Sequence[torch.Tensor]


def build(work: Work, settings: dict) -> Loop:
    return Loop(work, settings)


class Loop:
    """One backward pass per task; gradients accumulate in place, and graphs are freed at once."""

    def __init__(self, work: Work, settings: dict):
        torch.set_flush_denormal(True)
        torch.set_num_threads(settings.get("threads", 1))
        self.work = work
        self.serve = settings.get("serve", 1)
        self.net, self.loss = nets.network(work), nets.loss(work)
        self.weights = nets.weights_to_torch(work, initial_weights(work))
        tasks = nets.tasks_to_torch(work, tasks_of(work))
        if settings.get("double"):  # the reference of the comparison
            self.weights = [w.double() for w in self.weights]
            tasks = {n: t.double() if t.is_floating_point() else t for n, t in tasks.items()}
        if settings.get("channels_last"):
            self.weights = [_channels_last(w) for w in self.weights]
        for w in self.weights:
            w.requires_grad_()
        names = ("support_x", "support_y", "query_x", "query_y")
        self.tasks: list[_Tensors] = list(zip(*(tasks[n].unbind(0) for n in names), strict=True))
        if settings.get("channels_last"):
            self.tasks = [[_channels_last(t) for t in task] for task in self.tasks]
        self.optimizer = torch.optim.Adam(self.weights, META_LR, eps=1e-7, fused=True)
        workers = settings.get("side_by_side", 1)
        self.pool: ThreadPoolExecutor | None = None
        if workers > 1:
            self.pool = ThreadPoolExecutor(
                workers, initializer=torch.set_num_threads, initargs=(1,)
            )

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            _, gradients = self.meta_gradients()
            for w, g in zip(self.weights, gradients, strict=True):
                w.grad = g
            self.optimizer.step()

    def agree(self) -> tuple[float, list[np.ndarray]]:
        loss, gradients = self.meta_gradients()
        return float(loss), nets.weights_to_keras(self.work, gradients)

    def meta_gradients(self) -> tuple[Any, list[torch.Tensor]]:
        """The mean loss over tasks and its gradient."""
        results = (self.pool.map if self.pool else map)(self.task_gradients, self.tasks)
        total: Any = 0.0
        sums: list[torch.Tensor] = []
        for loss, gradients in results:
            total = total + loss
            if not sums:
                sums = list(gradients)
            else:
                torch._foreach_add_(sums, gradients)
        torch._foreach_div_(sums, len(self.tasks))
        return total / len(self.tasks), sums

    def task_gradients(self, task: _Tensors) -> tuple[torch.Tensor, _Tensors]:
        support_x, support_y, query_x, query_y = task
        fast = self.adapted(support_x, support_y, create_graph=True)
        loss = self.loss(self.net(fast, query_x), query_y)
        return loss.detach(), torch.autograd.grad(loss, self.weights)

    def adapted(self, x: torch.Tensor, y: torch.Tensor, create_graph: bool) -> _Tensors:
        fast: _Tensors = self.weights
        for _ in range(self.work.inner_steps):
            loss = self.loss(self.net(fast, x), y)
            gradients = torch.autograd.grad(loss, fast, create_graph=create_graph)
            fast = [w - self.work.inner_lr * g for w, g in zip(fast, gradients, strict=True)]
        return fast

    def new_task(self) -> None:
        """Learns new tasks without second derivatives, and predicts their queries."""
        for t in range(self.serve):
            support_x, support_y, query_x, _ = self.tasks[t % len(self.tasks)]
            fast = self.adapted(support_x, support_y, create_graph=False)
            with torch.no_grad():
                self.net(fast, query_x).numpy()


def _channels_last(t: torch.Tensor) -> torch.Tensor:
    return t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t
