"""Runs the command `meta-tf` as its users do, in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEVERAL = """
import json, sys
sys.argv[0] = "meta-tf"  # as the command's own process
from meta_tf.command.main import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    for stream in (sys.stdout, sys.stderr):
        print(f"exit code {code}", file=stream, flush=True)
"""


def start(*words, cwd=ROOT):
    """Starts `meta-tf` with these words."""
    program = [sys.executable, "-m", "meta_tf.command", *map(str, words)]
    return subprocess.Popen(
        program,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words, cwd=ROOT):
    """The exit code, output and errors of one command."""
    process = start(*words, cwd=cwd)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def one_after_another(calls, cwd=ROOT):
    """Runs several commands in one process to save time: for each (code, out, err)."""
    process = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps([[str(w) for w in words] for words in calls])],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in process.stdout + process.stderr, process.stderr
    outs, errs = ([], [])
    for text, found in ((process.stdout, outs), (process.stderr, errs)):
        told = []
        for line in text.splitlines():
            if line.startswith("exit code "):
                found.append((int(line.split()[-1]), "\n".join(told)))
                told = []
            else:
                told.append(line)
    assert len(outs) == len(errs) == len(calls), process.stderr
    return [(code, out, err) for (code, out), (_, err) in zip(outs, errs, strict=True)]
