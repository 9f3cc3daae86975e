"""Which operations take the time of an outer step, in meta_tf and in JAX?

    python -m benchmarks.profile_steps [--works sinusoid_1_step]

Traces some outer steps after the first ones, and reports the parts of the XLA program by kind,
with microseconds and calls per step. Tracing takes time too, so only shares and counts are
meaningful. For JAX, traces its scan. TensorFlow's own kernels are not shown, so use only dense
networks.
"""

from __future__ import annotations

import collections
import re
import tempfile
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.contenders import SCAN, SCAN_STEPS
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS, Work

TRACED = tuple(name for name, work in WORKS.items() if work.network == "mlp")
MOST = 12  # kinds to keep
# Events that only contain other parts, or wait for them.
_HOLDS = re.compile(r"::|: |^while|Execute|^_|^<|^\$|Iterator|^Prefetch|[Ff]unction|^Eager|^call\b")


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--works", nargs="*", choices=TRACED, default=TRACED)
    parser.add_argument("--steps", type=int, default=SCAN_STEPS)
    options = parser.parse_args()
    scan = {"tasks": "vmap", "devices": 1, "scan": SCAN_STEPS}
    found: dict[str, dict] = {}
    for name in options.works:
        found[name] = {
            "meta_tf": traced("ours", {}, WORKS[name], options),
            SCAN: traced("jax_peer", scan, WORKS[name], options),
        }
        for contender, kinds in found[name].items():
            print(f"{name}, {contender}: {kinds}", flush=True)
    results.save(options.results, "profile_steps", {"steps": options.steps, "works": found})


def traced(module: str, settings: dict, work: Work, options) -> dict[str, list[float]]:
    """`{kind: [microseconds per step, calls per step]}`, the longest first."""
    steps = max(1, options.steps // work.per_call) * work.per_call
    with Worker(module, settings, options.limit) as worker, tempfile.TemporaryDirectory() as folder:
        worker.build(work)
        worker.ask("run", steps=2 * steps)
        worker.ask("profile", steps=steps, folder=folder)
        return by_kind(Path(folder), steps)


def by_kind(folder: Path, steps: int) -> dict[str, list[float]]:
    """Sums the events of a trace by kind of operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = folder.rglob("*.xplane.pb")
    space = xplane_pb2.XSpace()
    space.ParseFromString(path.read_bytes())
    time, calls = collections.Counter(), collections.Counter()
    for plane in space.planes:
        names = {number: event.name for number, event in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                name = names[event.metadata_id]
                if _HOLDS.search(name):
                    continue
                kind = re.sub(r"[.\d_]+$", "", name.rpartition(":")[2])
                time[kind] += event.duration_ps / 1e6
                calls[kind] += 1
    return {
        kind: [round(spent / steps, 1), round(calls[kind] / steps, 1)]
        for kind, spent in time.most_common(MOST)
    }


if __name__ == "__main__":
    main()
