"""Which machine code takes the time of an outer step, in meta_tf and in `torch.compile`?

    python -m benchmarks.profile_kernels [--works transformer]

Linux `perf` (package `linux-perf`) samples a process 199 times a second while it runs outer steps,
after the first ones. Reports the share of samples for each kind of function, in %. Kernels that
oneDNN generates at run time have no name: in a network without convolutions they are matrix
products.
"""

from __future__ import annotations

import collections
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.contenders import OURS
from benchmarks.harness.workers import Worker
from benchmarks.harness.workloads import WORKS, Work

COMPILED = {"threads": 1, "inside": True, "compile": True}
CONTENDERS = {OURS: ("ours", {}), "torch.compile": ("torch_vmap", COMPILED)}
KINDS = {  # the first match in `library symbol` counts
    "products of matrices": r"JIT\] tid|brgemm|gemm|gebp|[Mm]at[Mm]ul|mkl_blas",
    "transposes": r"TensorBlockIO|Shuffling|[Tt]ranspose",
    "sums over axes": r"Reduc",
    "other kernels of one operation": r"Eigen::|dnnl|at::native",
    "fused kernels": r"inductor|/c\w+\.so|\bkernel\b|cpp_fused",
    "memory": r"mem(cpy|move|set)|malloc|free|kernel\.kallsyms|alloc",
    "Python": r"python|_Py",
}
Shares = dict[str, float]


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--works", nargs="*", choices=list(WORKS), default=["transformer"])
    options = parser.parse_args()
    if shutil.which("perf") is None:
        parser.error("Linux's `perf` is needed: apt-get install linux-perf")
    found: dict[str, dict] = {}
    for name in options.works:
        found[name] = {}
        for contender, (module, settings) in CONTENDERS.items():
            found[name][contender] = profiled(module, settings, WORKS[name], options)
            print(f"{name}, {contender}: {found[name][contender]}", flush=True)
    results.save(options.results, "profile_kernels", {"works": found})


def profiled(module: str, settings: dict, work: Work, options) -> Shares:
    """Shares of the samples during some seconds of outer steps."""
    steps = 3 * work.per_call
    with Worker(module, settings, options.limit) as worker, tempfile.TemporaryDirectory() as folder:
        worker.build(work)
        worker.ask("run", steps=steps)
        each = worker.ask("run", steps=steps)["seconds"] / 3
        data = str(Path(folder) / "perf.data")
        looking = subprocess.Popen(
            ["perf", "record", "-q", "-F", "199", "-p", str(worker.pid), "-o", data],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1)  # until it samples
        if looking.poll() is not None:
            raise SystemExit("`perf` has no permission: see /proc/sys/kernel/perf_event_paranoid")
        calls = max(1, round(options.rounds * options.seconds / each))
        worker.ask("run", steps=calls * work.per_call)
        looking.send_signal(signal.SIGINT)
        looking.wait()
        words = ["perf", "report", "-i", data, "--stdio", "-t", "|", "--sort", "dso,symbol"]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return shares(told)


def shares(told: str) -> Shares:
    """Sums the lines `12.34%|library|[.] symbol` of a report by kind, largest first."""
    kinds: dict[str, float] = collections.Counter()
    for line in told.splitlines():
        if line.strip() and not line.startswith("#"):
            share, library, symbol = (word.strip() for word in line.split("|", 2))
            whole = f"{library} {symbol}"
            kind = next((k for k, of in KINDS.items() if re.search(of, whole)), "the rest")
            kinds[kind] += float(share.rstrip("%"))
    return {kind: round(share, 1) for kind, share in sorted(kinds.items(), key=lambda x: -x[1])}


if __name__ == "__main__":
    main()
