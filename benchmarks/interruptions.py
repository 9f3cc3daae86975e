"""Ends runs at random moments by SIGKILL or SIGTERM and compares them with uninterrupted ones.

    python benchmarks/interruptions.py --trials=12 --seed=0

Each trial starts a run, ends it after a random time, and starts the same command again until it
has finished. Then every number of its last checkpoint (weights, optimiser, seeds) and every column
of `metrics.csv` but `seconds` must be those of the same run that nobody interrupted, bit for bit.
Prints a line for each trial, and returns 1 if one differs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--iterations=60", "--checkpoint_every=20", "--eval_tasks=2", "--eval_steps=1"]
PICTURES = ["--task=images", "--model=conv4", "--filters=4", "--image_size=16", "--ways=3"]
PICTURES += ["--shots=1", "--queries=2", "--meta_batch_size=2", "--rotations=none"]
RUNS = {
    "mlp": [*SMALL, "--task=sinusoid", "--steps_per_execution=5"],
    "dropout, batch norm": [*SMALL, "--task=sinusoid", f"--model={Path(__file__).stem}:noisy"],
    "maml++": [*SMALL, *PICTURES, "--algorithm=mamlpp", "--inner_steps=2", "--inner_lr=0.1"],
    "pictures": [*SMALL, *PICTURES, "--algorithm=maml", "--inner_steps=1", "--inner_lr=0.4"],
}


def noisy(input_shape: tuple[int, ...], outputs: int):
    """A model with dropout and batch norm."""
    import keras

    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Dense(20, "relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(outputs),
        ]
    )


def start(flags: list[str], workdir: Path) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    return subprocess.Popen(
        [sys.executable, "-m", "meta_tf.runs", "train", *flags, f"--workdir={workdir}"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(flags: list[str], workdir: Path) -> None:
    process = start(flags, workdir)
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{workdir} ended with {process.returncode}: {out}")


def interrupt(flags: list[str], workdir: Path, signum: int, seconds: float) -> str:
    """Starts a run and ends it so long after it has claimed its folder; what became of it."""
    process = start(flags, workdir)
    while process.poll() is None and not (workdir / "flags.txt").exists():
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    if process.poll() is None:
        process.send_signal(signum)
    process.communicate()
    kept = sorted(path.stem for path in (workdir / "checkpoints").glob("[0-9]*.keras"))
    done = "finished" if (workdir / "results.json").exists() else "unfinished"
    return f"exit {process.returncode}, {done}, checkpoints {' '.join(kept) or '-'}"


def numbers(workdir: Path) -> dict[str, bytes]:
    """All that must be the same, by name."""
    import h5py

    found = {}
    path = max((workdir / "checkpoints").glob("[0-9]*.keras"))
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    file.visititems(
        lambda name, item: (
            found.update({name: item[()].tobytes()}) if hasattr(item, "dtype") else None
        )
    )
    rows = [line.rsplit(",", 1) for line in (workdir / "metrics.csv").read_text().splitlines()]
    assert rows[0][1] == "seconds"
    return {**found, "metrics.csv": "\n".join(row[0] for row in rows).encode()}


def draw_pictures(folder: Path) -> None:
    """Classes of noise, each with pictures that resemble each other."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in range(24):
        (folder / f"class{name:02d}").mkdir(parents=True)
        ground = rng.integers(0, 200, [16, 16])
        for number in range(4):
            picture = (ground + rng.integers(0, 56, [16, 16])).astype("uint8")
            Image.fromarray(picture).save(folder / f"class{name:02d}" / f"{number}.png")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    differ = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw_pictures(folder / "pictures")
        expected, lasts = {}, {}
        for trial in range(given.trials):
            name = list(RUNS)[trial % len(RUNS)]
            flags = list(RUNS[name])
            if "--task=images" in flags:
                flags.append(f"--data_dir={folder / 'pictures'}")
            if name not in expected:
                begin = time.perf_counter()
                finish(flags, folder / name)
                lasts[name] = time.perf_counter() - begin
                expected[name] = numbers(folder / name)
            workdir = folder / f"trial{trial}"
            signum = chance.choice([signal.SIGKILL, signal.SIGTERM])
            seconds = chance.uniform(0, lasts[name])
            told = interrupt(flags, workdir, signum, seconds)
            finish(flags, workdir)
            same = numbers(workdir) == expected[name]
            differ += not same
            result = "the same" if same else "DIFFERENT"
            print(f"{trial}: {name}, {signum.name} after {seconds:.1f} s: {told}; {result}")
            sys.stdout.flush()
    print(f"{given.trials} trials, {differ} differ")
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
