"""How long does the default run take, from the command to its table?

    python -m benchmarks.default_run [--rounds 3]

Compares `meta-tf train`, 70 000 outer steps on sine waves, with the same protocol written in JAX
with its scan (`benchmarks/programs/jax_sinusoid.py`): tasks generated during training, a
validation and a file of weights every 5 000 steps, 600 new tasks at the end. Each run is a new
process; the two alternate.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.harness import results
from benchmarks.harness.workers import ROOT

COMMANDS = {
    "meta_tf": [sys.executable, "train.py", "--workdir"],
    "JAX": [sys.executable, "-m", "benchmarks.programs.jax_sinusoid"],
}


def main() -> None:
    options = results.parser(__doc__, rounds=3).parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    said: dict[str, str] = {}
    for _ in range(options.rounds):
        for name, command in COMMANDS.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                done = subprocess.run(
                    [*command, folder], cwd=ROOT, check=True, capture_output=True, text=True
                )
                seconds[name].append(time.perf_counter() - start)
            said[name] = done.stdout
            print(f"{name:8} {seconds[name][-1]:6.1f} s", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print("\n".join(said.values()))
    print(f"meta_tf: {medians['JAX'] / medians['meta_tf']:.2f} x as fast as JAX")
    values = {"seconds": medians, "rounds": seconds, "tables": said}
    results.save(options.results, "default_run", values)


if __name__ == "__main__":
    main()
