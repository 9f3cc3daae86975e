"""The contenders for each work, and their settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.harness.workloads import Work

JAX = "JAX"
OURS, OURS_GENERATING = "meta_tf", "meta_tf, tasks made as it goes"
SCAN_STEPS = 200
SCAN = f"JAX, {SCAN_STEPS} steps a call"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A module of `benchmarks.programs` and the settings to choose the fastest from.

    `multiple`: the number of outer steps must be a multiple of this.
    """

    name: str
    module: str
    settings: list[dict[str, Any]]
    multiple: int = 1

    @property
    def ours(self) -> bool:
        return self.module == "ours"


def contenders(work: Work) -> list[Contender]:
    """All contenders that can do a work, ours first."""
    ours = [{}, {"unroll": True}] if work.network == "lstm" else [{}]
    made = [{**settings, "source": True} for settings in ours]
    found = [
        Contender(OURS, "ours", ours, work.per_call),
        Contender(OURS_GENERATING, "ours", made, work.per_call),
        Contender(JAX, "jax_peer", _jax(work)),
    ]
    if work.network == "in_context":
        scans = [{**settings, "scan": work.per_call} for settings in _jax(work)]
        return [
            *found,
            Contender(f"JAX, {work.per_call} steps a call", "jax_peer", scans, work.per_call),
        ]
    found += [
        Contender("torch.func.vmap", "torch_vmap", _vmap(work)),
        Contender("torch loop", "torch_loop", _loop(work)),
        Contender("TorchOpt", "torchopt_peer", _loop(work)),
    ]
    if work.network == "mlp":
        scans = [{**settings, "scan": SCAN_STEPS} for settings in _jax(work)]
        found.insert(3, Contender(SCAN, "jax_peer", scans, SCAN_STEPS))
    if not work.network.startswith("conv4"):  # it would use the same convolution kernels
        compiled = [{"threads": n, "inside": True, "compile": True} for n in (1, 2)]
        found.insert(-2, Contender("torch.compile", "torch_vmap", compiled))
    return found


def best_peer(measured: dict) -> str | None:
    """The fastest contender that is not ours."""
    rates = {
        name: one["rate"]
        for name, one in measured.items()
        if name not in (OURS, OURS_GENERATING) and "rate" in one
    }
    return max(rates, key=lambda name: rates[name]) if rates else None


def _loop(work: Work) -> list[dict[str, Any]]:
    """One or two threads inside operations, or two tasks side by side with one thread each."""
    plain = [{"threads": 1}, {"threads": 2}, {"threads": 1, "side_by_side": 2}]
    if work.network.startswith("conv4"):
        return [*plain, {"threads": 1, "side_by_side": 2, "channels_last": True}]
    return plain


def _vmap(work: Work) -> list[dict[str, Any]]:
    """The gradient inside or around `vmap`; around it, PyTorch's own normalisation is wrong."""
    around = {"inside": False, "written_norm": work.network not in ("mlp", "lstm")}
    return [{**one, "threads": n} for one in ({"inside": True}, around) for n in (1, 2)]


def _jax(work: Work) -> list[dict[str, Any]]:
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
