"""The tables of the benchmarks: who is ahead in each work, and what meta_tf needs by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.harness.contenders import OURS, OURS_GENERATING, best_peer

Results = dict[str, Any]


class Compared(NamedTuple):
    """meta_tf beside the fastest peer; `ratio` is above 1 where meta_tf is faster."""

    ours: str
    peer: str
    name: str
    ratio: float


class Row(NamedTuple):
    """A work that others can do too. `compared` takes all results by script."""

    work: str
    compared: Callable[[Results], Compared | None]
    limit: str


def _rates(
    work: str, ours: str = OURS, script: str = "compare"
) -> Callable[[Results], Compared | None]:
    """Tasks per second in training, ours beside the best peer's."""

    def compared(results: Results) -> Compared | None:
        measured = ((results.get(script) or {}).get("works", {})).get(work, {})
        best = best_peer(measured)
        if "rate" not in measured.get(ours, {}) or best is None:
            return None
        rate, peer = measured[ours]["rate"], measured[best]["rate"]
        return Compared(f"{number(rate)}/s", f"{number(peer)}/s", best, rate / peer)

    return compared


def _times(series: Any, ours: str, unit: str) -> Compared | None:
    """A time of ours beside the shortest of the peers."""
    peers = {
        name: value
        for name, value in series.items()
        if name.startswith(("JAX", "PyTorch", "torch", "TorchOpt"))
    }
    if ours not in series or not peers:
        return None
    best = min(peers, key=lambda name: peers[name])
    return Compared(
        f"{number(series[ours])} {unit}",
        f"{number(peers[best])} {unit}",
        best,
        peers[best] / series[ours],
    )


def _new_task(ours: str, script: str, kind: str = "one") -> Callable[[Results], Compared | None]:
    """Milliseconds from the examples of a new task to predictions, warm."""

    def compared(results: Results) -> Compared | None:
        warm = ((results.get(script) or {}).get(kind, {})).get("warm", {})
        return _times(warm, ours, "ms")

    return compared


def _default_run(script: str) -> Callable[[Results], Compared | None]:
    def compared(results: Results) -> Compared | None:
        return _times((results.get(script) or {}).get("seconds", {}), OURS, "s")

    return compared


def _first_step(work: str) -> Callable[[Results], Compared | None]:
    """Seconds from a built model to the end of the first step."""

    def compared(results: Results) -> Compared | None:
        works = (results.get("first_step") or {}).get("works", {})
        first = {n: one["first"] for n, one in works.get(work, {}).items() if "first" in one}
        return _times(first, OURS, "s")

    return compared


def soak(results: Results) -> str | None:
    """Memory after thousands of new tasks, over memory after a hundred."""
    grown = ((results.get("soak") or {}).get("megabytes", {})).get("adapt, predict")
    return f"{grown['late'] / grown['early']:.3f} ×" if grown else None


def fraction_of_peak(results: Results) -> str | None:
    """The share of the machine's matrix-product peak that training reaches."""
    peak = results.get("peak")
    return f"{100 * peak['works']['omniglot_15_queries']['fraction']:.0f} %" if peak else None


def memory_of_steps(results: Results) -> str | None:
    """Peak memory at 100 inner steps over that at 5."""
    peaks = ((results.get("memory") or {}).get("inner_steps", {})).get(OURS, {})
    return _memory_ratio(peaks, "100", "5")


def memory_of_tasks(results: Results) -> str | None:
    """Peak memory at 256 tasks over that at 32."""
    peaks = ((results.get("memory") or {}).get("tasks", {})).get(OURS, {})
    return _memory_ratio(peaks, "256", "32")


def rate_of_tasks(results: Results) -> str | None:
    """Throughput at 256 tasks over that at 32."""
    rates = ((results.get("scaling") or {}).get("works", {})).get("omniglot, tasks", {})
    return f"{rates['256'] / rates['32']:.2f} ×" if {"256", "32"} <= set(rates) else None


def sources(results: Results) -> str | None:
    """Episodes that the source makes, over those that training consumes."""
    works = (results.get("sources") or {}).get("works", {})
    shares = [
        works[name].get("Omniglot", works[name]["from_arrays"]) / works[name]["training"]
        for name in ("omniglot_1_query", "omniglot_15_queries")
        if name in works
    ]
    return f"{min(shares):.0f} ×" if shares else None


def _memory_ratio(peaks: Results, large: str, small: str) -> str | None:
    try:
        more, less = peaks[large]["peak"], peaks[small]["peak"]
    except KeyError:
        return None
    return f"{more / less:.2f} × ({more} MB)"


def number(value: float | None) -> str:
    """Three digits, or whole thousands with commas."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_KERNELS = "TensorFlow's convolution kernels for few images"
_PYTHON = f"{_KERNELS}, and Python between its two calls"
_PRODUCTS = "products of small matrices: two thirds of a step for both"
_TRACING = "the graph of a task is built, then made one of many tasks"
_XLA = "products of small matrices, in XLA's programs for both"
_START = "besides the steps: imports, compiling, validation, evaluation, export"
_COMPILING = "compiling by XLA"
_UNKNOWN = "not profiled"


def _new_tasks(script: str) -> list[Row]:
    """The rows for new tasks, in the ways of serving them."""
    return [
        Row(name, _new_task(ours, script, kind), limit)
        for name, ours, kind, limit in (
            ("a new task, `adapt` and `predict`", "adapt, predict", "one", _PYTHON),
            ("a new task, SavedModel", "the SavedModel", "one", _KERNELS),
            (
                "32 new tasks at a time, `predict_on_batch`",
                "learner.predict_on_batch",
                "batch",
                _KERNELS,
            ),
        )
    ]


# One table for each host, as ratios of different hosts say nothing about each other.
BY_HOST = {
    "First host, two cores": [
        Row("sinusoid, 1 step, fixed tasks", _rates("sinusoid_1_step"), _PRODUCTS),
        Row(
            "sinusoid, 1 step, tasks made as it goes",
            _rates("sinusoid_1_step", OURS_GENERATING),
            _PRODUCTS,
        ),
        Row("sinusoid, 5 steps, fixed tasks", _rates("sinusoid_5_steps"), _PRODUCTS),
        Row("conv4 with max-pool, 20-way 1-shot, 5 steps", _rates("pool_20_way_1_shot"), _KERNELS),
        Row("LSTM, 3 steps", _rates("lstm"), _UNKNOWN),
    ],
    "Second host, one core": [
        Row("sinusoid, 1 step", _rates("sinusoid_1_step", script="one_core/compare"), _PRODUCTS),
        Row(
            "sinusoid, 1 step, tasks made as it goes",
            _rates("sinusoid_1_step", OURS_GENERATING, "one_core/compare"),
            _PRODUCTS,
        ),
        Row("sinusoid, 5 steps", _rates("sinusoid_5_steps", script="one_core/compare"), _PRODUCTS),
    ],
    "Fourth host": [
        Row("Omniglot, 1 query per class, 1 step", _rates("omniglot_1_query"), _KERNELS),
        Row(
            "Omniglot, 15 queries per class, 1 step",
            _rates("omniglot_15_queries"),
            "52 % of the matrix-product peak",
        ),
        Row("Omniglot, 15 queries per class, 5 steps", _rates("omniglot_5_steps"), _KERNELS),
        Row("conv4 with max-pool, 5-way 5-shot, 5 steps", _rates("pool_5_way_5_shot"), _KERNELS),
    ],
    "Sixth host, two cores": [
        *_new_tasks("new_task"),
        *(
            Row(name, _rates(work, script="sixth_host/compare"), _XLA)
            for name, work in (
                ("transformer in context, 64 tasks", "in_context"),
                ("transformer, 3 steps", "transformer"),
            )
        ),
        Row("the default run, whole command", _default_run("default_run"), _START),
        *(
            Row(f"first step, {name}", _first_step(work), limit)
            for name, work, limit in (
                ("sinusoid, 1 step", "sinusoid_1_step", _COMPILING),
                ("sinusoid, 5 steps", "sinusoid_5_steps", _COMPILING),
                ("Omniglot, 5 steps", "omniglot_5_steps", _UNKNOWN),
                ("LSTM", "lstm", _UNKNOWN),
                ("transformer", "transformer", _TRACING),
                ("transformer in context", "in_context", _TRACING),
            )
        ),
    ],
    "Sixth host, one core": [
        *_new_tasks("one_core/new_task"),
        Row("the default run, whole command", _default_run("one_core/default_run"), _START),
    ],
}

ALONE = {
    "memory after 5 000 `adapt` and `predict` over that after 100": soak,
    "peak memory of second-order training at 100 inner steps over that at 5": memory_of_steps,
    "peak memory at 256 tasks over that at 32": memory_of_tasks,
    "throughput at 256 tasks over that at 32": rate_of_tasks,
    "fraction of the measured matrix-product peak, 15 queries, 1 step": fraction_of_peak,
    "Omniglot episodes per second from the source over those that training consumes": sources,
}
