"""Whether training part of the network on a task's own pictures improves on `photos`.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.learn_longer --photos=FOLDER [--sets hands blood] [--tasks 30]

`FOLDER` is that of benchmarks.photographs, and so are the tasks: five classes, or all if a set has
fewer, with 5 pictures and 15 queries of each. Adam trains the scales and shifts of batch
normalisation in the last five blocks of EfficientNet-Lite0 and after them, for 25 epochs of all
support pictures, each mirrored at random. The loss is the cross-entropy of what the ridge head
predicts for each of them after learning from the others. Then `photos` learns the task from the
new features.

Writes results/learn_longer.json after each task: the accuracy of `photos`, and how much better
training is on the same tasks. Tasks that are already in the file are not computed again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.interval import interval
from benchmarks.photographs import SIZE, WAYS, Task, draw
from meta_tf.calibration import log_loss
from meta_tf.command.finish import versions
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.files import write_text
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.zoo.photos import photos_from_features

RESULTS = Path(__file__).resolve().parent / "results" / "learn_longer.json"
FIRST_BLOCK, SHOTS, EPOCHS, RATE = 11, 5, 25, 3e-3
PENALTY, SCALE = 0.1, 10.0  # of the ridge head of `photos`
AT_ONCE = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["hands", "blood"])
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--maps", type=Path, help="a folder to keep the network's maps in")
    options = parser.parse_args()
    for name in options.sets:
        if not (options.photos / name).is_dir():
            parser.exit(1, f"{parser.prog}: error: {options.photos / name} is not a folder.\n")
    for threads in ("intra", "inter"):
        getattr(tf.config.threading, f"set_{threads}_op_parallelism_threads")(1)
    text = options.output.read_text("utf-8") if options.output.exists() else "{}"
    results = json.loads(text).get("sets", {})
    body = efficientnet_lite0(SIZE)
    middle = body.get_layer(f"block{FIRST_BLOCK}_expand").input
    first, last = keras.Model(body.input, middle), Last(keras.Model(middle, body.output))
    sources = {n: Maps(options.photos / n, first, options.maps) for n in options.sets}
    for number in range(options.tasks):
        for name, maps in sources.items():
            each = results.get(name, {}).get("each", [])
            if len(each) > number:
                continue
            rows = np.arange(len(maps.labels))[:, None]
            rng = np.random.default_rng([number, SHOTS])
            task, _ = draw(rows, maps.labels, WAYS, SHOTS, rng)
            each.append(measured(task, maps, last))
            results[name] = {**(summary(each) if number else {}), "each": each}
            print(name, *results[name].items(), flush=True)
            about = {
                "command": "python -m benchmarks.learn_longer --photos=FOLDER --sets "
                + f"{' '.join(results)} --tasks {number + 1}",
                "versions": versions(),
                "sets": results,
            }
            write_text(options.output, json.dumps(about, indent=1) + "\n")


class Maps:
    """The outputs of a network for the pictures of a set, each computed once.

    `labels`: the classes of the pictures, [n].
    """

    def __init__(self, folder: Path, network: keras.Model, kept: Path | None) -> None:
        self._paths = sorted(path for path in folder.glob("*/*") if path.is_file())
        classes = [path.parent.name for path in self._paths]
        self.labels = np.unique(classes, return_inverse=True)[1]
        self._network, self._kept = network, kept and kept / folder.name
        if self._kept:
            self._kept.mkdir(parents=True, exist_ok=True)

    def of(self, rows: np.ndarray, mirrored: bool = False) -> np.ndarray:
        """The outputs [n, height, width, channels] for these pictures [n], float16."""
        return np.stack([self._of_one(int(row), mirrored) for row in rows])

    def _of_one(self, row: int, mirrored: bool) -> np.ndarray:
        file = self._kept / f"{row}{'m' * mirrored}.npy" if self._kept else None
        if file and file.exists():
            return np.load(file)
        picture = decode_images([ImageFile.at(self._paths[row])], (SIZE, SIZE), 3, crop=True)
        picture = picture[:, :, :: -1 if mirrored else 1].astype("float32") / 255
        found = self._network.predict_on_batch(picture)[0].astype("float16")
        if file:
            np.save(file, found)
        return found


class Last:
    """The last blocks of the network, trained on one task after another."""

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
        self._trained = [variable for norm in norms for variable in (norm.gamma, norm.beta)]
        self._optimizer = keras.optimizers.Adam(RATE, beta_2=0.99)
        self._optimizer.build(self._trained)
        self._start = [(v, v.numpy()) for v in (*self._trained, *self._optimizer.variables)]
        self._step, self._forward = tf.function(self._one_step), tf.function(self._pass)

    def forget(self) -> None:
        """Restores what the network was before any task."""
        for variable, value in self._start:
            variable.assign(value)

    def train(self, maps: np.ndarray, mirrored: np.ndarray, labels: np.ndarray) -> None:
        """Trains on support maps [S, height, width, channels], those of mirrored pictures too."""
        both, rng = np.stack([maps, mirrored]), np.random.default_rng(0)
        y = np.eye(labels.max() + 1, dtype="float32")[labels]
        for _ in range(EPOCHS):
            which = rng.integers(2, size=len(labels))
            self._step(both[which, np.arange(len(labels))], y)

    def features(self, maps: np.ndarray) -> np.ndarray:
        """The features [n, 1280] of maps [n, height, width, channels]."""
        parts = [maps[i : i + AT_ONCE] for i in range(0, len(maps), AT_ONCE)]
        return np.concatenate([self._forward(part).numpy() for part in parts])

    def _pass(self, maps: tf.Tensor) -> tf.Tensor:
        return self._network(tf.cast(maps, tf.float32), training=False)

    def _one_step(self, maps: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            roots = tf.sqrt(tf.maximum(self._pass(maps), 1e-6))
            answers = SCALE * left_out(tf.math.l2_normalize(roots, -1), y)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, answers))
        values = [variable.value for variable in self._trained]
        self._optimizer.apply(tape.gradient(loss, values), self._trained)


def left_out(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """What ridge regression predicts for each of x [S, D], with y [S, N], from the others.

    With G = X Xᵀ + λ I, that is y_s - (G⁻¹ Y)_s / (G⁻¹)_ss.
    """
    inverse = tf.linalg.inv(tf.matmul(x, x, transpose_b=True) + PENALTY * tf.eye(tf.shape(x)[0]))
    return y - inverse @ y / tf.linalg.diag_part(inverse)[:, None]


def measured(task: Task, maps: Maps, last: Last) -> dict[str, dict[str, float]]:
    """Accuracy and cross-entropy of `photos`, before and after training, and the seconds."""
    support, mirrored, query = (
        maps.of(task.support_x[:, 0]),
        maps.of(task.support_x[:, 0], mirrored=True),
        maps.of(task.query_x[:, 0]),
    )
    last.forget()
    before = of_photos(task, last.features(support), last.features(query))
    start = time.process_time()
    last.train(support, mirrored, task.support_y)
    seconds = time.process_time() - start
    after = of_photos(task, last.features(support), last.features(query))
    return {"photos": before, "trained": {**after, "seconds": round(seconds, 2)}}


def of_photos(task: Task, support: np.ndarray, query: np.ndarray) -> dict[str, float]:
    """Accuracy and cross-entropy of `photos` with these features."""
    p = photos_from_features().adapt(support, task.support_y).predict_proba(query)
    right = 100 * np.mean(p.argmax(-1) == task.query_y)
    return {"accuracy": round(float(right), 3), "nll": round(log_loss(p, task.query_y), 4)}


def summary(each: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """The means over tasks, and the paired differences."""

    def one(head: str, what: str) -> np.ndarray:
        return np.array([task[head][what] for task in each])

    return {
        "tasks": len(each),
        "photos": interval(one("photos", "accuracy"), 2),
        "trained": interval(one("trained", "accuracy"), 2),
        "trained_better_by": interval(one("trained", "accuracy") - one("photos", "accuracy"), 2),
        "nll_of_photos": round(float(one("photos", "nll").mean()), 3),
        "nll_of_trained": round(float(one("trained", "nll").mean()), 3),
        "seconds_on_one_core": round(float(np.median(one("trained", "seconds"))), 2),
    }


if __name__ == "__main__":
    main()
