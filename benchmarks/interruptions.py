"""Ends runs at random moments with SIGKILL or SIGTERM and compares them with uninterrupted runs.

    python -m benchmarks.interruptions --trials=50 --omniglot=data/omniglot

Each trial starts a run, ends it after a random time, and starts the same command again until it
has finished. Then every number in its last checkpoint (weights, optimiser, seeds) and every column
of `metrics.csv` but `seconds` must be the same as in an uninterrupted run, bit for bit.

With two workers, on loopback, one is ended, and both are started again. They must agree within
1e-6 with one uninterrupted process, both in float64: in float32, rounding depends on the number
of workers, and sixty steps with batch norm amplify it beyond that. Prints a line for each trial,
and returns 1 if one differs; all lines are in `benchmarks/results/interruptions.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness.addresses import free_addresses

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "interruptions.json"
SMALL = ["--iterations=60", "--checkpoint_every=20", "--eval_tasks=2", "--eval_steps=1"]
CONV = ["--model=conv4", "--filters=4", "--shots=1", "--queries=2", "--meta_batch_size=2"]
PICTURES = ["--task=images", *CONV, "--image_size=16", "--ways=3", "--rotations=none"]
OMNIGLOT = ["--task=omniglot", *CONV, "--ways=5"]


class Run(NamedTuple):
    """The flags of a command, and its number of workers."""

    flags: list[str]
    workers: int = 1


NOISY = [*SMALL, "--task=sinusoid", "--model=benchmarks.interruptions:noisy"]
RUNS = {
    "mlp": Run([*SMALL, "--task=sinusoid", "--steps_per_execution=5"]),
    "dropout, batch norm": Run(NOISY),
    "maml++": Run([*SMALL, *PICTURES, "--algorithm=mamlpp", "--inner_steps=2", "--inner_lr=0.1"]),
    "pictures": Run([*SMALL, *PICTURES, "--algorithm=maml", "--inner_steps=1", "--inner_lr=0.4"]),
    "omniglot": Run([*SMALL, *OMNIGLOT, "--algorithm=maml", "--inner_steps=1", "--inner_lr=0.4"]),
    "two workers": Run([*NOISY, "--set", "dtype=float64"], workers=2),
}
TOGETHER = ["--strategy=multi_worker", "--worker_timeout=20"]  # the workers' own flags


def noisy(input_shape: tuple[int, ...], outputs: int, dtype: str = "float32"):
    """A model with dropout and batch norm."""
    import keras

    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Dense(20, "relu", dtype=dtype),
            keras.layers.BatchNormalization(dtype=dtype),
            keras.layers.Dropout(0.2, dtype=dtype),
            keras.layers.Dense(outputs, dtype=dtype),
        ]
    )


def start(run: Run, workdir: Path, workers: int = 1) -> list[subprocess.Popen]:
    """Starts a run; returns its processes, one per worker."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "meta_tf.command", "train", *run.flags, f"--workdir={workdir}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    if workers == 1:
        return [subprocess.Popen(command, env=environment, **pipes)]
    cluster = {"worker": free_addresses(workers)}
    configs = ({"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(workers))
    return [
        subprocess.Popen(
            [*command, *TOGETHER], env={**environment, "TF_CONFIG": json.dumps(config)}, **pipes
        )
        for config in configs
    ]


def finish(run: Run, workdir: Path, workers: int = 1) -> float:
    """Runs a command to its end; returns the seconds since the run's folder existed."""
    processes = start(run, workdir, workers)
    wait_for_folder(processes[0], workdir)
    begin = time.perf_counter()
    for process in processes:
        out, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{workdir} ended with {process.returncode}: {out}")
    return time.perf_counter() - begin


def wait_for_folder(process: subprocess.Popen, workdir: Path) -> None:
    while process.poll() is None and not (workdir / "flags.txt").exists():
        time.sleep(0.01)


def interrupt(run: Run, workdir: Path, signum: int, seconds: float, ended: int) -> str:
    """Starts a run and ends one of its processes `seconds` after its folder exists.

    The other workers must exit on their own. Returns a description of the outcome.
    """
    processes = start(run, workdir, run.workers)
    victim = processes[ended]
    wait_for_folder(victim, workdir)
    with contextlib.suppress(subprocess.TimeoutExpired):
        victim.wait(timeout=seconds)
    if victim.poll() is None:
        victim.send_signal(signum)
    begin = time.perf_counter()
    for process in processes:
        process.communicate()
    took = f", all within {time.perf_counter() - begin:.1f} s" * (run.workers > 1)
    kept = sorted(path.stem for path in (workdir / "checkpoints").glob("[0-9]*.keras"))
    done = "finished" if (workdir / "results.json").exists() else "unfinished"
    codes = " and ".join(str(process.returncode) for process in processes)
    return f"exit {codes}{took}, {done}, checkpoints {' '.join(kept) or '-'}"


def numbers(workdir: Path) -> dict[str, np.ndarray]:
    """All numbers that must be the same, by name."""
    import h5py

    found = {}
    path = max((workdir / "checkpoints").glob("[0-9]*.keras"))
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    file.visititems(
        lambda name, item: (
            found.update({name: np.array(item[()])}) if hasattr(item, "dtype") else None
        )
    )
    rows = [line.rsplit(",", 1) for line in (workdir / "metrics.csv").read_text().splitlines()]
    assert rows[0][1] == "seconds"
    found["metrics.csv"] = np.array([row[0].split(",") for row in rows[1:]], np.float64)
    return found


def largest_difference(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """The largest difference of any number; infinite if names or shapes differ."""
    if {n: v.shape for n, v in ours.items()} != {n: v.shape for n, v in theirs.items()}:
        return float("inf")
    return max(float(np.abs(ours[n] - theirs[n]).max(initial=0.0)) for n in theirs)


def differ(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], tolerance: float) -> bool:
    return ours.keys() != theirs.keys() or not all(
        np.allclose(ours[name], theirs[name], rtol=tolerance, atol=tolerance) for name in theirs
    )


def draw_pictures(folder: Path) -> None:
    """Writes classes of noise, each with similar pictures."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in range(24):
        (folder / f"class{name:02d}").mkdir(parents=True)
        ground = rng.integers(0, 200, [16, 16])
        for number in range(4):
            picture = (ground + rng.integers(0, 56, [16, 16])).astype("uint8")
            Image.fromarray(picture).save(folder / f"class{name:02d}" / f"{number}.png")


def one_trial(
    name: str,
    run: Run,
    workdir: Path,
    expected: dict[str, np.ndarray],
    lasts: float,
    chance: random.Random,
) -> dict[str, object]:
    """Interrupts a run once, resumes it to its end, and compares."""
    signum = chance.choice([signal.SIGKILL, signal.SIGTERM])
    seconds, ended = chance.uniform(0, lasts), chance.randrange(run.workers)
    told = interrupt(run, workdir, signum, seconds, ended)
    finish(run, workdir, run.workers)
    found = numbers(workdir)
    return {
        "run": name,
        "signal": signum.name,
        "worker": ended if run.workers > 1 else None,
        "seconds": round(seconds, 1),
        "told": told,
        "hit": ", unfinished, " in told,
        "largest difference": largest_difference(found, expected),
        "the same": not differ(found, expected, 1e-6 if run.workers > 1 else 0.0),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--omniglot", help="the folder of its archives; skips its run if omitted")
    parser.add_argument("--kinds", nargs="+", choices=list(RUNS), default=list(RUNS))
    given = parser.parse_args()
    kinds = [name for name in given.kinds if name != "omniglot" or given.omniglot]
    chance = random.Random(given.seed)
    trials = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw_pictures(folder / "data")
        data = {"--task=images": folder / "data", "--task=omniglot": given.omniglot}
        expected, lasts = {}, {}
        for number in range(given.trials):
            name = kinds[number % len(kinds)]
            run = RUNS[name]
            where = [f"--data_dir={data[flag]}" for flag in run.flags if flag in data]
            run = run._replace(flags=[*run.flags, *where])
            if name not in expected:
                lasts[name] = finish(run, folder / name)
                expected[name] = numbers(folder / name)
            workdir = folder / f"trial{number}"
            trial = one_trial(name, run, workdir, expected[name], lasts[name], chance)
            print(f"{number}: {trial}", flush=True)
            trials.append(trial)
            shutil.rmtree(workdir)
            report = {"seed": given.seed, "trials": trials}
            RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    hit, wrong = sum(t["hit"] for t in trials), sum(not t["the same"] for t in trials)
    print(f"{len(trials)} trials, {hit} ended before the run had finished; {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
