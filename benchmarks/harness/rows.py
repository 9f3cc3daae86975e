"""The goals, one row each: what is asked, and how the results answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.harness.contenders import OURS, OURS_GENERATING, SCAN, best_peer
from benchmarks.harness.workloads import WORKS

Results = dict[str, Any]


class Row(NamedTuple):
    """A goal. `reached` takes all results by script, and returns text or None."""

    work: str
    least: str
    aim: str
    reached: Callable[[Results], str | None]


def _rate(results: Results, work: str, contender: str) -> float | None:
    measured = ((results.get("compare") or {}).get("works", {})).get(work, {})
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
    """Seconds of a step of JAX by `vmap` and `jit` on one device, as seen among its settings."""
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


def _over(work: str, peers: dict[str, str], ours: str = OURS) -> Callable[[Results], str | None]:
    """Our rate over that of several peers, by what the table calls them."""

    def reached(results: Results) -> str | None:
        rate = _rate(results, work, ours)
        if rate is None:
            return None
        parts = []
        for peer, name in peers.items():
            other = _rate(results, work, peer)
            parts.append(f"{rate / other:.2f} × {name}" if other else f"{name}: too slow")
        return "; ".join(parts)

    return reached


def _fraction(results: Results) -> str | None:
    peak = results.get("peak")
    return f"{100 * peak['works']['omniglot_15_queries']['fraction']:.0f} %" if peak else None


def _adapt(results: Results) -> str | None:
    latency = (results.get("adapt_latency") or {}).get("milliseconds")
    if not latency:
        return None
    best = min(value for name, value in latency.items() if name != OURS)
    return f"{best / latency[OURS]:.2f} × ({latency[OURS]:.1f} ms)"


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


_ONCE = {"JAX": "JAX called once per step"}
_THREE = {**_ONCE, SCAN: "the scan", "torch.func.vmap": "torch.func.vmap"}
_COMPILED = {"torch.compile": "torch.compile"}

ROWS = [
    Row(
        "sinusoid 1-40-40-1, 25 tasks, 10-shot, 1 step, second order, on fixed data",
        "1.5 × JAX called once per step; 1.0 × JAX with 200 outer steps in one `lax.scan`; "
        "7 × torch.func.vmap",
        "1.3 × the scan",
        _over("sinusoid_1_step", _THREE | _COMPILED),
    ),
    Row(
        "the same through `MetaLearner.fit` with tasks generated as it goes, against the peers' "
        "bare steps on fixed data",
        "1.2 × JAX called once per step",
        "1.5 ×",
        _over("sinusoid_1_step", _ONCE, OURS_GENERATING),
    ),
    Row(
        "the same with 5 inner steps",
        "1.4 × JAX called once per step",
        "2 ×",
        _over("sinusoid_5_steps", _ONCE | _COMPILED),
    ),
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
        "1.5 ×",
        "2 ×",
        _over_best("transformer"),
    ),
    Row(
        "fraction of the measured matrix-product peak, 15 queries, 1 step",
        "75 %",
        "85 %",
        _fraction,
    ),
    Row(
        "`adapt` to one new 5-way 1-shot task, conv4, 5 steps, warm, against the same in PyTorch",
        "1.5 ×",
        "3 ×",
        _adapt,
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
