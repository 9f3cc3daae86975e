"""Do all contenders compute the same loss and meta-gradient for the same weights and tasks?

    python -m benchmarks.check_agreement

The reference is the PyTorch loop in float64, and for in_context, JAX. On two tasks of every kind
of network, each contender's loss and its meta-gradient (as one vector) must be within 1e-4 of it.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from benchmarks.harness.contenders import OURS_GENERATING, Contender, contenders
from benchmarks.harness.workers import TooSlowError, Worker
from benchmarks.harness.workloads import WORKS, Work

TOLERANCE = 1e-4
_THREADS = ("threads", "side_by_side", "devices")
_Result = tuple[float, list[np.ndarray]]  # loss and meta-gradients


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", nargs="*", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--limit", type=float, default=180, help="seconds a command may take")
    options = parser.parse_args()
    return 0 if all_agree([WORKS[name] for name in options.works], options.limit) else 1


def all_agree(works: list[Work], limit: float) -> bool:
    """Prints each contender's difference from the reference; returns whether all are small."""
    small = list(
        {w.network: w.small() for w in sorted(works, key=lambda w: w.inner_steps)}.values()
    )
    references = {}
    for work in small:
        reference: tuple[str, dict[str, Any]] = "torch_loop", {"double": True}
        if work.network == "in_context":
            reference = "jax_peer", {"tasks": "vmap", "devices": 1}
        with Worker(*reference, limit) as worker:
            worker.build(work)
            references[work.name] = worker.agree()
    far = []
    for module, settings, chosen in _programs(small):
        with Worker(module, settings, limit) as worker:
            for work in chosen:
                try:
                    worker.build(work)
                    errors = differences(worker.agree(), references[work.name])
                except TooSlowError as error:  # its results may still be correct
                    print(f"unknown  {work.name:28} {module:20} {error}  {settings}", flush=True)
                    break
                ok = max(errors) < TOLERANCE
                print(
                    f"{'agrees' if ok else 'DIFFERS':8} {work.name:28} {module:20} "
                    f"loss {errors[0]:.1e}  gradient {errors[1]:.1e}  {settings or ''}",
                    flush=True,
                )
                far += [] if ok else [(module, work.name)]
    return not far


def differences(result: _Result, reference: _Result) -> tuple[float, float]:
    """The errors of loss and meta-gradient, relative to the reference."""
    (loss, gradients), (true_loss, true_gradients) = result, reference
    flat, true = (np.concatenate([g.ravel() for g in gs]) for gs in (gradients, true_gradients))
    return (
        abs(loss - true_loss) / abs(true_loss),
        float(np.linalg.norm(flat - true) / np.linalg.norm(true)),
    )


def _programs(works: list[Work]) -> list[tuple[str, dict[str, Any], list[Work]]]:
    """Every distinct program once, with its works; settings of threads are ignored."""
    programs: dict[Any, tuple[str, dict[str, Any], list[Work]]] = {}
    for work in works:
        for contender in contenders(work):
            if contender.name == OURS_GENERATING or "scan" in contender.settings[0]:
                continue  # the same step
            for settings in _different(contender):
                key = (contender.module, tuple(sorted(settings.items())))
                programs.setdefault(key, (contender.module, settings, []))[2].append(work)
    return list(programs.values())


def _different(contender: Contender) -> list[dict[str, Any]]:
    """The distinct settings, ignoring those of threads."""
    seen: list[dict[str, Any]] = []
    for settings in contender.settings:
        core = {k: v for k, v in settings.items() if k not in _THREADS}
        if core not in seen:
            seen.append(core)
    return seen


if __name__ == "__main__":
    sys.exit(main())
