"""New classes of photographs from a few pictures each, compared with common alternatives.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.photographs --photos=FOLDER --calibrate clothing grocery
    python -m benchmarks.photographs --photos=FOLDER [--sets hands blood]

`FOLDER` has a folder for each set of photographs, with a folder for each class. Every head uses
the same features: those of EfficientNet-Lite0 for the central square of a picture. Only the head
is trained, on the support set of each task: 600 tasks with five classes (or all, if a set has
fewer) and 15 queries per class. Writes results/photographs/SET.json: for each head its accuracy,
its calibration error and cross-entropy, and how much better `photos` is on the same tasks; for
`photos` also the fraction of pictures that it calls none of the classes, of known classes, of
other classes of the set, and of other sets.

`--calibrate` instead chooses the temperatures and the thresholds of `photos` on those sets, and
writes meta_tf/zoo/photos.calibration.json.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.interval import interval
from meta_tf.calibration import calibration_error, log_loss, softmax
from meta_tf.command.finish import versions
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.files import write_text
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.types import Batch
from meta_tf.zoo import FOLDER, calibration_file
from meta_tf.zoo.photos import PHOTOS, photos_from_features

RESULTS = Path(__file__).resolve().parent / "results" / "photographs"
WAYS, QUERIES, SHOTS, SIZE = 5, 15, (1, 5, 10), 224
CALIBRATED_FOR = [(ways, shots) for ways in (2, 5, 10, 20, 40) for shots in (1, 2, 5, 10)]
STRANGERS = 30  # pictures of other classes and of other sets, each


class Task(NamedTuple):
    """Features [S, D] and labels [S] to learn from, and [Q, D] and [Q] to be asked about."""

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


Pictures: TypeAlias = tuple[np.ndarray, np.ndarray]  # features [n, D] and classes [n] of a set
Head: TypeAlias = Callable[[Task], np.ndarray]  # probabilities [Q, N]
Heads: TypeAlias = Callable[[Sequence[Task]], Iterator[np.ndarray]]  # of one task after another


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["clothing", "grocery", "hands", "blood"])
    parser.add_argument("--calibrate", nargs="+", metavar="SET", default=[])
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--features", type=Path, help="a folder to keep the sets' features in")
    options = parser.parse_args()
    for name in (*options.sets, *options.calibrate):
        if not (options.photos / name).is_dir():
            parser.exit(1, f"{parser.prog}: error: {options.photos / name} is not a folder.\n")
    if options.calibrate:
        calibrate({n: features(options.photos / n, options.features) for n in options.calibrate})
        return
    for threads in ("intra", "inter"):  # more would mostly wait: the operations are small
        getattr(tf.config.threading, f"set_{threads}_op_parallelism_threads")(1)
    options.output.mkdir(parents=True, exist_ok=True)
    folders = sorted(path for path in options.photos.iterdir() if path.is_dir())
    everything = {folder.name: features(folder, options.features) for folder in folders}
    for name in options.sets:
        others = [x for other, (x, _) in everything.items() if other != name]
        rows = [
            row
            for shots in SHOTS
            for row in measured(everything[name], others, shots, options.tasks)
        ]
        about = {
            "set": name,
            "command": f"python -m benchmarks.photographs --photos=FOLDER --sets {name}",
            "pictures": len(everything[name][1]),
            "other_sets": [other for other in everything if other != name],
            "versions": versions(),
        }
        text = json.dumps({**about, "rows": rows}, indent=2) + "\n"
        write_text(options.output / f"{name}.json", text)
        for row in rows:
            print(name, json.dumps(row), flush=True)
    if options.output == RESULTS:
        write_numbers_of_card(RESULTS)


def write_numbers_of_card(results: Path) -> None:
    """Copies the rows of `photos` beside the learner, for its card."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(results.glob("*.json"))]
    numbers = {
        about["set"]: [row for row in about["rows"] if row["head"] == "photos"] for about in found
    }
    write_text(FOLDER / f"{PHOTOS}.json", json.dumps(numbers, indent=2) + "\n")


def features(folder: Path, kept: Path | None = None) -> Pictures:
    """The features [n, 1280] of a set's pictures, and their classes [n]."""
    file = kept / f"{folder.name}.npz" if kept else None
    if file and file.exists():
        with np.load(file) as stored:
            return stored["x"], stored["y"]
    y, pictures = pictures_in(folder)
    body = efficientnet_lite0(SIZE)
    x = np.concatenate([body.predict_on_batch(images / 255) for images in pictures])
    if file:
        np.savez(file, x=x, y=y)
    return x, y


def pictures_in(folder: Path, at_once: int = 16) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The classes [n] of a set's pictures, and some pictures [B, SIZE, SIZE, 3] after others."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    y = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    groups = (paths[i : i + at_once] for i in range(0, len(paths), at_once))
    files = ([ImageFile.at(path) for path in group] for group in groups)
    return y, (decode_images(f, (SIZE, SIZE), 3, crop=True).astype("float32") for f in files)


class Split(NamedTuple):
    """Tasks of one size of a set of photographs, as `MetaLearner.calibrate` takes them."""

    pictures: Pictures
    ways: int
    shots: int

    def batches(self, tasks: int, seed: int = 0) -> Iterator[Batch]:
        """Endless batches of one task."""
        del tasks
        rng = np.random.default_rng([seed, self.ways, self.shots])
        while True:
            task, _ = draw(*self.pictures, self.ways, self.shots, rng)
            names = ("support_x", "support_y", "query_x")
            yield {name: getattr(task, name)[None] for name in names}, task.query_y[None]


def calibrate(sets: dict[str, Pictures]) -> None:
    """Writes the temperatures and the thresholds of `photos` for these sets."""
    learner = photos_from_features()
    parts = [
        Split(pictures, ways, shots)
        for pictures in sets.values()
        for ways, shots in CALIBRATED_FOR
        if ways <= len(np.unique(pictures[1]))
    ]
    calibration = learner.calibrate(*parts, tasks_number=60)
    about = {
        "command": "python -m benchmarks.photographs --photos=FOLDER --calibrate " + " ".join(sets),
        "calibration": calibration.get_config(),
    }
    write_text(calibration_file(PHOTOS), json.dumps(about, indent=2) + "\n")
    print(calibration)


def draw(
    x: np.ndarray, y: np.ndarray, ways: int, shots: int, rng: np.random.Generator
) -> tuple[Task, np.ndarray]:
    """A task, and the rows of pictures of other classes."""
    classes = [c for c in np.unique(y) if (y == c).sum() >= shots + 3]
    support, query = [], []
    chosen = rng.permutation(classes)[:ways]
    for c in chosen:
        rows = rng.permutation(np.flatnonzero(y == c))
        support.append(rows[:shots])
        query.append(rows[shots : shots + QUERIES])
    task = Task(
        x[np.concatenate(support)],
        np.repeat(np.arange(len(support)), shots),
        x[np.concatenate(query)],
        np.repeat(np.arange(len(query)), [len(rows) for rows in query]),
    )
    return task, np.flatnonzero(~np.isin(y, chosen))


def measured(
    pictures: Pictures, others: Sequence[np.ndarray], shots: int, count: int
) -> list[dict[str, Any]]:
    """A row for each head; `others` are the features of other sets."""
    rng = np.random.default_rng(shots)
    drawn = [draw(*pictures, WAYS, shots, rng) for _ in range(count)]
    tasks = [task for task, _ in drawn]
    photos, refused = Photos(), Refused()
    heads: dict[str, Heads] = {
        "photos": one_by_one(photos),
        "nearest mean": one_by_one(nearest_mean),
        "logistic regression (scikit-learn)": one_by_one(logistic_regression),
        "dense head (Teachable Machine)": in_blocks(dense_heads),
    }
    for task, rest in drawn:
        strangers = [rng.choice(pictures[0][rest], STRANGERS) if len(rest) else None]
        strangers += [rng.choice(x, STRANGERS) for x in others]
        refused.add(photos.strange(task, [task.query_x, *strangers]))
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for name, head in heads.items():
        found = list(head(tasks))
        each = np.array(
            [100 * np.mean(p.argmax(-1) == t.query_y) for p, t in zip(found, tasks, strict=True)]
        )
        first = each if first is None else first
        own, better = interval(each, 2), interval(first - each, 2)
        labels, p = np.concatenate([task.query_y for task in tasks]), np.concatenate(found)
        rows.append(
            {
                "head": name,
                "shots": shots,
                "accuracy": own["mean"],
                "ci95": own["ci95"],
                "ece": round(100 * calibration_error(p.max(-1), p.argmax(-1) == labels), 2),
                "nll": round(log_loss(p, labels), 3),
                "photos_better_by": better["mean"],
                "photos_better_by_ci95": better["ci95"],
                **(refused.row() if name == "photos" else {}),
                "tasks": count,
            }
        )
    return rows


class Refused:
    """Counts pictures that are called none of the classes."""

    def __init__(self) -> None:
        self._known: list[float] = []
        self._other_classes: list[float] = []
        self._other_sets: list[float] = []

    def add(self, refused: Sequence[float | None]) -> None:
        """Adds the fractions of a task: of known classes, other classes, and each other set."""
        known, near, *far = refused
        for where, value in ((self._known, known), (self._other_classes, near)):
            if value is not None:
                where.append(value)
        self._other_sets += [value for value in far if value is not None]

    def row(self) -> dict[str, float | None]:
        """The means, in percent."""
        found = {
            "refused_of_known_classes": self._known,
            "refused_of_other_classes": self._other_classes,
            "refused_of_other_sets": self._other_sets,
        }
        return {k: round(100 * float(np.mean(v)), 2) if v else None for k, v in found.items()}


class Photos:
    """`meta_tf.pretrained("photos")`, on precomputed features."""

    def __init__(self) -> None:
        self._learner = photos_from_features()

    def __call__(self, task: Task) -> np.ndarray:
        return self._learner.adapt(task.support_x, task.support_y).predict_proba(task.query_x)

    def strange(self, task: Task, sets: Sequence[np.ndarray | None]) -> list[float | None]:
        """The fraction of each set of features that it calls none of the task's classes."""
        fitted = self._learner.adapt(task.support_x, task.support_y)
        _, strange = fitted.predict_with_strangeness(
            np.concatenate([x for x in sets if x is not None])
        )
        parts = iter(np.split(strange > 0, np.cumsum([len(x) for x in sets if x is not None])))
        return [None if x is None else float(next(parts).mean()) for x in sets]


def nearest_mean(task: Task) -> np.ndarray:
    """Softmax of the negative squared distances from the class means, as in ProtoNet."""
    ways = task.support_y.max() + 1
    means = np.stack([task.support_x[task.support_y == c].mean(0) for c in range(ways)])
    distances = ((task.query_x[:, None] - means) ** 2).sum(-1)
    return softmax(-distances)


def logistic_regression(task: Task) -> np.ndarray:
    """scikit-learn's logistic regression with its defaults."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=1000).fit(task.support_x, task.support_y)
    return fitted.predict_proba(task.query_x)


def dense_heads(tasks: Sequence[Task]) -> Iterator[np.ndarray]:
    """Teachable Machine's: 100 units of ReLU and a softmax, 50 epochs of Adam, batches of 16.

    All tasks at once, each with its own weights.
    """
    size, ways = tasks[0].support_x.shape[1], int(tasks[0].support_y.max()) + 1
    rng = np.random.default_rng(0)

    def uniform(inputs: int, outputs: int) -> tf.Variable:
        limit = (3 / inputs) ** 0.5  # TensorFlow.js's variance scaling
        return tf.Variable(
            rng.uniform(-limit, limit, [len(tasks), inputs, outputs]).astype("float32")
        )

    variables = [
        uniform(size, 100),
        tf.Variable(tf.zeros([len(tasks), 1, 100])),
        uniform(100, ways),
    ]

    def logits(x: tf.Tensor) -> tf.Tensor:
        w, b, v = variables
        return tf.nn.relu(x @ w + b) @ v

    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(x))
            loss = tf.reduce_sum(tf.reduce_mean(losses, 1))  # the tasks share nothing
        optimizer.apply(tape.gradient(loss, variables))

    x, y = (np.stack([task[i] for task in tasks]) for i in (0, 1))
    for _ in range(50):
        order = rng.permutation(x.shape[1])
        for i in range(0, len(order), 16):
            step(x[:, order[i : i + 16]], y[:, order[i : i + 16]])
    yield from tf.nn.softmax(logits(np.stack([task.query_x for task in tasks]))).numpy()


def one_by_one(head: Head) -> Heads:
    """A function of one task as one of several."""
    return lambda tasks: map(head, tasks)


def in_blocks(heads: Callable[[Sequence[Task]], Iterator[np.ndarray]], size: int = 50) -> Heads:
    """A function of some tasks as one of as many as one likes."""

    def all_heads(tasks: Sequence[Task]) -> Iterator[np.ndarray]:
        for i in range(0, len(tasks), size):
            yield from heads(tasks[i : i + size])

    return all_heads


if __name__ == "__main__":
    main()
