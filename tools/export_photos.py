"""Writes to docs/photographs.md what an export of `photos` costs, and how exact it is.

    python -m tools.export_photos --photos=FOLDER

`FOLDER` has a folder for each set of photographs, with a folder for each class. Ten tasks of each
chosen set, five classes with five pictures each and five new ones, are learned in TensorFlow and in
each exported file, on one core. Times are medians of CPU time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import meta_tf
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from tools.export_table import put

PAGE = Path(__file__).resolve().parents[1] / "docs" / "photographs.md"
WAYS, SHOTS, QUERIES, TASKS, TIMED = 5, 5, 5, 10, 20
FILES: dict[str, tuple[str, str, dict[str, bool]]] = {
    "LiteRT": ("learner.tflite", "litert", {}),
    "LiteRT, `float16=True`": ("learner.tflite", "litert", {"float16": True}),
    "LiteRT, `int8=True`": ("learner.tflite", "litert", {"int8": True}),
    "ONNX": ("learner", "onnx", {}),
}


class Task(NamedTuple):
    """Pictures [S, 224, 224, 3] and labels [S] to learn from, and those to be asked about."""

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["hands", "clothing"])
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    learner = meta_tf.pretrained("photos")
    tasks = [draw(options.photos / name, seed) for name in options.sets for seed in range(TASKS)]
    expected = [
        learner.adapt(t.support_x, t.support_y).predict(t.query_x, verbose=0) for t in tasks
    ]
    lines = [
        "| file | MB | ms to learn 25 pictures | ms to name one | largest difference of a logit "
        "| other answers | right |",
        "|---|---|---|---|---|---|---|",
        f"| TensorFlow | | | | | | {right(expected, tasks):.1f} % |",
    ]
    for name, (path, format, weights) in FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path
            learner.export(file, format, **weights)
            lines.append(f"| {name} | {' | '.join(measured(file, tasks, expected))} |")
        print(lines[-1], flush=True)
    put("exports", "\n".join(lines), PAGE)


def draw(folder: Path, seed: int) -> Task:
    """A task of a set of photographs."""
    rng = np.random.default_rng(seed)
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    chosen = [classes[i] for i in rng.permutation(len(classes))[:WAYS]]
    drawn = [rng.permutation(sorted(c.iterdir()))[: SHOTS + QUERIES] for c in chosen]
    files = [ImageFile.at(path) for each in drawn for path in each]
    pictures = decode_images(files, (224, 224), 3, crop=True).astype("float32")
    pictures = pictures.reshape(len(chosen), SHOTS + QUERIES, *pictures.shape[1:])
    labels = np.arange(len(chosen), dtype="int32")
    return Task(
        np.concatenate(pictures[:, :SHOTS]),
        labels.repeat(SHOTS),
        np.concatenate(pictures[:, SHOTS:]),
        labels.repeat(QUERIES),
    )


def measured(path: Path, tasks: list[Task], expected: list[np.ndarray]) -> list[str]:
    """The cells of a file's row."""
    run = (_litert if path.suffix else _onnx)(path)
    found, learning = [], []
    for task in tasks:
        began = time.process_time()
        weights = run("adapt", {"support_x": task.support_x, "support_y": task.support_y})
        learning.append(time.process_time() - began)
        logits = run("predict", {"query_x": task.query_x, **weights})["predictions"]
        found.append(logits[:, : len(set(task.support_y))])
    naming = []
    for _ in range(TIMED):
        began = time.process_time()
        run("predict", {"query_x": task.query_x[:1], **weights})
        naming.append(time.process_time() - began)
    pairs = list(zip(found, expected, strict=True))
    other = sum(int((a.argmax(-1) != b.argmax(-1)).sum()) for a, b in pairs)
    files = [path] if path.is_file() else path.iterdir()
    return [
        f"{sum(file.stat().st_size for file in files) / 1e6:.1f}",
        f"{1e3 * np.median(learning):.0f}",
        f"{1e3 * np.median(naming):.0f}",
        f"{max(float(np.abs(a - b).max()) for a, b in pairs):.1g}",
        f"{other} of {sum(len(a) for a in found)}",
        f"{right(found, tasks):.1f} %",
    ]


def right(logits: list[np.ndarray], tasks: list[Task]) -> float:
    """The percentage of pictures that are named right."""
    return 100 * float(
        np.mean([(a.argmax(-1) == t.query_y).mean() for a, t in zip(logits, tasks, strict=True)])
    )


def _litert(path: Path) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    runners = {n: interpreter.get_signature_runner(n) for n in ("adapt", "predict")}
    return lambda name, inputs: runners[name](**inputs)


def _onnx(path: Path) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(path / f"{name}.onnx", options)
        for name in ("adapt", "predict")
    }

    def run(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        names = [output.name for output in sessions[name].get_outputs()]
        return dict(zip(names, sessions[name].run(names, inputs), strict=True))

    return run


if __name__ == "__main__":
    main()
