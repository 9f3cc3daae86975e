"""Runs all benchmarks, one after another, and the report.

python -m benchmarks.run_all                     needs a quiet machine and some hours
python -m benchmarks.run_all --quick             only checks that everything runs
python -m benchmarks.run_all --omniglot DIR      uses Omniglot itself as a source
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

from benchmarks.harness.workers import ROOT

# The slow ones come last.
SCRIPTS = (
    "peak", "new_task", "default_run", "first_step", "memory", "soak", "sources", "serving",
    "scaling", "compare",
)  # fmt: skip
QUICK = {
    "soak": ["--share", "0.05"],
    "serving": ["--minutes", "0.05"],
    "memory": ["--steps", "5", "10", "--tasks", "32"],
    "first_step": ["--works", "omniglot_5_steps"],
    "compare": ["--works", "sinusoid_1_step", "omniglot_1_query"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short, written to a scratch folder")
    parser.add_argument("--omniglot", help="folder of Omniglot's archives")
    parser.add_argument("--only", nargs="*", choices=SCRIPTS, default=SCRIPTS)
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only:
            arguments = ["--omniglot", options.omniglot] if options.omniglot else []
            arguments = arguments if name == "sources" else []
            if options.quick:
                short = ["--seconds", "0.3", "--rounds", "1", "--results", scratch]
                arguments += [*short, *QUICK.get(name, [])]
            print(f"\n=== {name} {' '.join(arguments)}", flush=True)
            command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                failed.append(name)
    if not options.quick:
        subprocess.run([sys.executable, "-m", "benchmarks.report"], cwd=ROOT, check=True)
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nAll ran.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
