"""Who is measured on what, and in which configurations."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.workloads import Work

OURS, OURS_GENERATING = "meta_tf", "meta_tf, tasks made as it goes"
SCAN_STEPS = 200


@dataclasses.dataclass(frozen=True)
class Contender:
    """A module of `benchmarks.peers` and the settings to choose the fastest of.

    `multiple`: outer steps come in multiples of this.
    """

    name: str
    module: str
    settings: list[dict[str, Any]]
    multiple: int = 1

    @property
    def ours(self) -> bool:
        return self.module == "meta_tf_fit"


def contenders(work: Work) -> list[Contender]:
    """All that can do a work, ours first."""
    ours = [{}, {"unroll": True}] if work.network == "lstm" else [{}]
    made = [{**settings, "source": True} for settings in ours]
    found = [
        Contender(OURS, "meta_tf_fit", ours, work.per_call),
        Contender(OURS_GENERATING, "meta_tf_fit", made, work.per_call),
        Contender("JAX", "jax_peer", _jax(work)),
        Contender("torch.func.vmap", "torch_vmap", _vmap()),
        Contender("torch loop", "torch_loop", _loop()),
        Contender("TorchOpt", "torchopt_peer", _loop()),
    ]
    if work.network == "mlp":
        scans = [{**settings, "scan": SCAN_STEPS} for settings in _jax(work)]
        found.insert(3, Contender("JAX, 200 steps a call", "jax_peer", scans, SCAN_STEPS))
    return found


def _loop():
    """One or two threads inside operations, or two tasks side by side of one thread each."""
    return [{"threads": 1}, {"threads": 2}, {"threads": 1, "side_by_side": 2}]


def _vmap():
    return [{"threads": n, "inside": inside} for inside in (False, True) for n in (1, 2)]


def _jax(work):
    if work.network.startswith("conv4"):
        return [
            {"tasks": "vmap", "im2col": True, "devices": 1},
            {"tasks": "vmap", "im2col": True, "devices": 2},
            {"tasks": "map", "im2col": True, "devices": 2},
            {"tasks": "map", "im2col": False, "devices": 1},
            {"tasks": "map", "im2col": False, "devices": 2},
            {"tasks": "vmap", "im2col": False, "devices": 1},
        ]
    plain = [{"tasks": "vmap", "devices": 1}, {"tasks": "vmap", "devices": 2}]
    if work.network == "lstm":
        return [{**settings, "unroll": unroll} for settings in plain for unroll in (1, 16)]
    if work.tasks % 2:
        return plain[:1]
    return plain
