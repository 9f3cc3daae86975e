"""TorchOpt: the loop over tasks, with a differentiable optimiser for the inner SGD."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchopt

from benchmarks.harness.workloads import Work
from benchmarks.programs.torch_loop import Loop


def build(work: Work, settings: dict) -> TorchOptLoop:
    return TorchOptLoop(work, settings)


class TorchOptLoop(Loop):
    """Uses TorchOpt's functional interface, its fastest; everything else is as in `Loop`."""

    def adapted(
        self, x: torch.Tensor, y: torch.Tensor, create_graph: bool
    ) -> Sequence[torch.Tensor]:
        optimizer = torchopt.sgd(self.work.inner_lr)
        fast = tuple(self.weights)
        state = optimizer.init(fast)
        for _ in range(self.work.inner_steps):
            loss = self.loss(self.net(fast, x), y)
            gradients = torch.autograd.grad(loss, fast, create_graph=create_graph)
            updates, state = optimizer.update(gradients, state, inplace=False)
            fast = torchopt.apply_updates(fast, updates, inplace=False)
        return fast
