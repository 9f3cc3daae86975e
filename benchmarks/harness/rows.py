"""The goals, one row each, and how to compute from the results what was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.harness.contenders import OURS, OURS_GENERATING, SCAN, best_peer
from benchmarks.harness.workloads import WORKS

Results = dict[str, Any]
ONE_CORE = "one_core/compare"


class Row(NamedTuple):
    """A goal. `reached` takes all results by script and returns text, or None."""

    work: str
    least: str
    aim: str
    reached: Callable[[Results], str | None]


def _rate(results: Results, work: str, contender: str, script: str = "compare") -> float | None:
    measured = ((results.get(script) or {}).get("works", {})).get(work, {})
    return measured.get(contender, {}).get("rate")


def _over_best(work: str, ours: str = OURS) -> Callable[[Results], str | None]:
    def reached(results: Results) -> str | None:
        rate = _rate(results, work, ours)
        if rate is None:
            return None
        measured = results["compare"]["works"][work]
        best = best_peer(measured)
        if best is None:
            return "no peer was ready in time"
        over = f"{rate / measured[best]['rate']:.2f} × ({best})"
        plain = _plain_jax(measured)
        return over + (
            f"; about {plain * rate / WORKS[work].tasks:.1f} × plain JAX" if plain else ""
        )

    return reached


def _plain_jax(measured: Results) -> float | None:
    """Seconds per step of JAX with `vmap` and `jit` on one device, among the tried settings."""
    return min(
        (
            tried["step_seconds"]
            for tried in measured["JAX"]["tried"]
            if tried["settings"]["tasks"] == "vmap"
            and tried["settings"]["devices"] == 1
            and "step_seconds" in tried
        ),
        default=None,
    )


def _over(
    work: str, peers: dict[str, str], ours: str = OURS, script: str = "compare"
) -> Callable[[Results], str | None]:
    """Our rate over that of several peers, by their names in the table."""

    def reached(results: Results) -> str | None:
        rate = _rate(results, work, ours, script)
        if rate is None:
            return None
        parts = []
        for peer, name in peers.items():
            other = _rate(results, work, peer, script)
            parts.append(f"{rate / other:.2f} × {name}" if other else f"{name}: too slow")
        return "; ".join(parts)

    return reached


def _fraction(results: Results) -> str | None:
    peak = results.get("peak")
    return f"{100 * peak['works']['omniglot_15_queries']['fraction']:.0f} %" if peak else None


def _new_task(ours: str) -> Callable[[Results], str | None]:
    """The speed relative to PyTorch's loop, on two cores and on one."""

    def reached(results: Results) -> str | None:
        parts = []
        for name, cores in (("new_task", "two cores"), ("one_core/new_task", "one core")):
            warm = ((results.get(name) or {}).get("one", {})).get("warm")
            if warm:
                peer = min(ms for peer, ms in warm.items() if peer.startswith("PyTorch"))
                parts.append(f"{peer / warm[ours]:.2f} × on {cores} ({warm[ours]:.1f} ms)")
        return "; ".join(parts) or None

    return reached


def _default_run(results: Results) -> str | None:
    parts = []
    for name, cores in (("default_run", "two cores"), ("one_core/default_run", "one core")):
        seconds = (results.get(name) or {}).get("seconds")
        if seconds:
            ratio = seconds["JAX"] / seconds["meta_tf"]
            parts.append(f"{ratio:.2f} × on {cores} ({seconds['meta_tf']:.0f} s)")
    return "; ".join(parts) or None


def _soak(results: Results) -> str | None:
    grown = ((results.get("soak") or {}).get("megabytes", {})).get("adapt, predict")
    return f"{grown['late'] / grown['early']:.3f} ×" if grown else None


def _made_over_fixed(results: Results) -> str | None:
    made = _rate(results, "sinusoid_1_step", OURS_GENERATING, ONE_CORE)
    fixed = _rate(results, "sinusoid_1_step", OURS, ONE_CORE)
    once = _rate(results, "sinusoid_1_step", "JAX", ONE_CORE)
    if not made or not fixed or not once:
        return None
    return f"{made / fixed:.2f} × fixed tasks; {made / once:.2f} × {_ONCE['JAX']}, fixed tasks"


def _memory_of_steps(results: Results) -> str | None:
    peaks = ((results.get("memory") or {}).get("inner_steps", {})).get(OURS, {})
    return _memory_ratio(peaks, "100", "5")


def _memory_ratio(peaks: Results, large: str, small: str) -> str | None:
    try:
        more, less = peaks[large]["peak"], peaks[small]["peak"]
    except KeyError:
        return None
    return f"{more / less:.2f} × ({more} MB)"


def _first_step(results: Results) -> str | None:
    works = (results.get("first_step") or {}).get("works", {})
    one = works.get("omniglot_5_steps", {}).get(OURS)
    if not one:
        return None
    if "too_slow" in one:
        return f"more than {one['too_slow']:.0f} s"
    return f"{one['first']:.1f} s (and {one['build']:.1f} s to import and build)"


def _growth(results: Results) -> str | None:
    rates = ((results.get("scaling") or {}).get("works", {})).get("omniglot, tasks", {})
    peaks = ((results.get("memory") or {}).get("tasks", {})).get(OURS, {})
    speed = f"{rates['256'] / rates['32']:.2f} ×" if {"256", "32"} <= set(rates) else None
    memory = _memory_ratio(peaks, "256", "32")
    if speed is None and memory is None:
        return None
    return f"{speed or 'not yet measured'}; {memory or 'not yet measured'}"


def _sources(results: Results) -> str | None:
    works = (results.get("sources") or {}).get("works", {})
    shares = [
        works[name].get("Omniglot", works[name]["from_arrays"]) / works[name]["training"]
        for name in ("omniglot_1_query", "omniglot_15_queries")
        if name in works
    ]
    return f"{min(shares):.0f} ×" if shares else None


_ONCE = {"JAX": "JAX a call a step"}
_SCAN = {SCAN: "the scan"}
_COMPILED = {"torch.compile": "torch.compile"}

ROWS = [
    Row(
        "sinusoid 1-40-40-1, 25 tasks, 10-shot, 1 step, second order, through `fit`, fixed tasks, "
        "one core",
        "0.9 × JAX with 200 outer steps in one `lax.scan`; 1.1 × JAX a call a step",
        "1.05 × the scan",
        _over("sinusoid_1_step", _SCAN | _ONCE, script=ONE_CORE),
    ),
    Row(
        "… with tasks made as it goes",
        "0.85 × the line above; 1.0 × JAX a call a step",
        "0.95 ×",
        _made_over_fixed,
    ),
    Row(
        "… two cores, fixed tasks",
        "1.15 × the scan",
        "1.4 ×",
        _over("sinusoid_1_step", _SCAN | _ONCE | _COMPILED),
    ),
    Row(
        "… two cores, made as it goes",
        "1.15 × the scan",
        "1.4 ×",
        _over("sinusoid_1_step", _SCAN, OURS_GENERATING),
    ),
    Row(
        "sinusoid, 5 steps, one core",
        "1.3 × the scan",
        "1.6 ×",
        _over("sinusoid_5_steps", _SCAN | _ONCE, script=ONE_CORE),
    ),
    Row(
        "sinusoid, 5 steps, two cores",
        "1.3 × the scan",
        "1.6 ×",
        _over("sinusoid_5_steps", _SCAN | _ONCE | _COMPILED),
    ),
    Row(
        "the default run of `train.py`, from start to table, against JAX's of the same protocol",
        "0.8 ×",
        "1.0 ×",
        _default_run,
    ),
    Row(
        "a new 5-way 1-shot task, conv4, 5 steps, `adapt(...)` then `.predict(5 pictures)`, warm, "
        "against PyTorch's loop",
        "1.5 ×",
        "2 ×",
        _new_task("adapt, predict"),
    ),
    Row(
        "… `learner.predict_on_batch` on one task",
        "1.8 ×",
        "2.2 ×",
        _new_task("learner.predict_on_batch"),
    ),
    Row("… the SavedModel", "1.8 ×", "2.2 ×", _new_task("the SavedModel")),
    Row("memory after 5 000 `adapt` and `predict` over that after 100", "1.01 ×", "1.0 ×", _soak),
    Row(
        "Omniglot conv4 stride, 5-way 1-shot, 1 query per class, 32 tasks, 1 step",
        "2.0 ×",
        "3 ×",
        _over_best("omniglot_1_query"),
    ),
    Row(
        "15 queries per class, 16 tasks, 1 step", "3.3 ×", "4 ×", _over_best("omniglot_15_queries")
    ),
    Row("15 queries per class, 16 tasks, 5 steps", "3.3 ×", "5 ×", _over_best("omniglot_5_steps")),
    Row(
        "conv4 with max-pool (stride 1), 5-way 5-shot, 15 queries, 5 steps, 4 tasks",
        "2.0 ×",
        "3 ×",
        _over_best("pool_5_way_5_shot"),
    ),
    Row("… and 20-way 1-shot, 5 steps", "2.0 ×", "3 ×", _over_best("pool_20_way_1_shot")),
    Row("LSTM on sequence tasks, 3 steps", "1.5 ×", "2 ×", _over_best("lstm")),
    Row(
        "small transformer (MultiHeadAttention) on sequence tasks, 3 steps",
        "1.15 ×",
        "1.4 ×",
        _over_best("transformer"),
    ),
    Row(
        "fraction of the measured matrix-product peak, 15 queries, 1 step",
        "75 %",
        "85 %",
        _fraction,
    ),
    Row(
        "peak resident memory of second-order training at 100 inner steps over that at 5",
        "1.3 ×",
        "1.1 ×",
        _memory_of_steps,
    ),
    Row("time to the first step, Omniglot 5 steps", "8 s", "4 s", _first_step),
    Row(
        "throughput at 256 tasks over that at 32; peak memory at 256 over 32",
        "0.95 ×; 2 ×",
        "1 ×; 1.5 ×",
        _growth,
    ),
    Row(
        "Omniglot episodes per second made by the source, over those that training consumes",
        "5 ×",
        "10 ×",
        _sources,
    ),
]
