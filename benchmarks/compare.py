"""How fast is a MAML step, in meta_tf and in other libraries?

    python -m benchmarks.compare [--works ...] [--seconds 3] [--rounds 7]

First checks that all contenders compute the same. Then, for each work, finds every contender's
fastest settings, each in its own process. These processes stay alive and are measured in turn,
round after round, while the others sleep. Prints medians and ratios, and writes them to
`results/compare.json` and `results/compare.png`.
"""

from __future__ import annotations

import sys

from benchmarks import check_agreement
from benchmarks.harness import chart, results, rounds
from benchmarks.harness.contenders import OURS, OURS_GENERATING, best_peer, contenders
from benchmarks.harness.workloads import WORKS, Work


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--works", nargs="*", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--skip_check", action="store_true", help="skip the check of results")
    options = parser.parse_args()
    works = [WORKS[name] for name in options.works]
    if not options.skip_check and not check_agreement.all_agree(works, options.limit):
        print("The contenders' results differ: nothing is measured.", file=sys.stderr)
        return 1
    measured = (results.load(options.results, "compare") or {}).get("works", {})
    for work in works:
        print(f"\n{work.name}: {work.tasks} tasks, {work.inner_steps} inner steps", flush=True)
        measured[work.name] = compare(work, options.seconds, options.rounds, options.limit)
        report(measured[work.name])
        results.save(options.results, "compare", {"works": measured})
    chart.draw(measured, options.results / "compare.png")
    return 0


def compare(work: Work, seconds: float, count: int, limit: float) -> dict:
    """Measures all contenders on one work: `{contender: {rate, rounds, settings, tried}}`."""
    runners: dict[str, rounds.Runner] = {}
    found: dict[str, dict] = {}
    try:
        for contender in contenders(work):
            runner, tried = rounds.start(contender, work, seconds, limit)
            found[contender.name] = {"tried": tried}
            if runner:
                runners[contender.name] = runner
        rounds.interleave(list(runners.values()), count)
    finally:
        for runner in runners.values():
            runner.worker.close()
    for name, runner in runners.items():
        if runner.failed:
            found[name]["tried"].append({"failed": runner.failed})
            continue
        found[name] |= {
            "rate": runner.rate,
            "rounds": runner.rates,
            "settings": runner.worker.settings,
        }
    return found


def report(measured: dict) -> None:
    """Prints tasks per second and ratios of one work."""
    best = best_peer(measured)
    for name, one in measured.items():
        if "rate" not in one:
            print(f"  {name:32} too slow or failed")
            continue
        low, high = min(one["rounds"]), max(one["rounds"])
        print(f"  {name:32} {one['rate']:10.1f} tasks/s   ({low:.1f} … {high:.1f})")
    for name in (OURS, OURS_GENERATING):
        if best and "rate" in measured[name]:
            ratio = measured[name]["rate"] / measured[best]["rate"]
            print(f"  {name}: {ratio:.2f} x the best peer ({best})")


if __name__ == "__main__":
    sys.exit(main())
