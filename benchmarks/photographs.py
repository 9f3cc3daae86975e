"""New classes of photographs from a few pictures each, compared with common alternatives.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.photographs --photos=FOLDER [--sets hands blood]

`FOLDER` has a folder for each set of photographs, with a folder for each class. Every head uses
the same features: those of EfficientNet-Lite0 for the central square of a picture. Only the head
is trained, on the support set of each task: 600 tasks with five classes (or all, if a set has
fewer) and 15 queries per class. Writes benchmarks/results/photographs/SET.json: for each head its
accuracy, its calibration error, and how much better the first head is on the same tasks.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

import meta_tf
from meta_tf.command.finish import versions
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.files import write_text

RESULTS = Path(__file__).resolve().parent / "results" / "photographs"
WAYS, QUERIES, SHOTS, SIZE = 5, 15, (1, 5, 10), 224
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Task(NamedTuple):
    """Features [S, D] and labels [S] to learn from, and [Q, D] and [Q] to be asked about."""

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


Head = Callable[[Task], np.ndarray]  # probabilities [Q, N]
Heads = Callable[[Sequence[Task]], Iterator[np.ndarray]]  # of one task after another


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["clothing", "grocery", "hands", "blood"])
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    for name in options.sets:
        if not (options.photos / name).is_dir():
            parser.exit(1, f"{parser.prog}: error: {options.photos / name} is not a folder.\n")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        x, y = features(options.photos / name)
        rows = [row for shots in SHOTS for row in measured(x, y, shots, options.tasks)]
        command = f"python -m benchmarks.photographs --photos=FOLDER --sets {name}"
        about = {"set": name, "command": command, "pictures": len(y), "versions": versions()}
        write_text(options.output / f"{name}.json", json.dumps({**about, "rows": rows}, indent=2))
        for row in rows:
            print(name, json.dumps(row), flush=True)


def features(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The features [n, 1280] of a set's pictures, and their classes [n]."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    classes = [path.parent.name for path in paths]
    body = efficientnet_lite0(SIZE)
    batches = [
        body.predict_on_batch(np.stack([middle(path) for path in paths[i : i + 32]]))
        for i in range(0, len(paths), 32)
    ]
    return np.concatenate(batches), np.unique(classes, return_inverse=True)[1]


def middle(path: Path) -> np.ndarray:
    """The central square of a picture, upright, [224, 224, 3] with values from 0 to 1."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
        square = ImageOps.fit(upright, (SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(square, "float32") / 255


def tasks_of(x: np.ndarray, y: np.ndarray, shots: int, count: int) -> Iterator[Task]:
    """Tasks of a set of photographs, the same ones for every head."""
    rng = np.random.default_rng(shots)
    classes = [c for c in np.unique(y) if (y == c).sum() >= shots + 3]
    for _ in range(count):
        support, query = [], []
        for c in rng.permutation(classes)[:WAYS]:
            rows = rng.permutation(np.flatnonzero(y == c))
            support.append(rows[:shots])
            query.append(rows[shots : shots + QUERIES])
        yield Task(
            x[np.concatenate(support)],
            np.repeat(np.arange(len(support)), shots),
            x[np.concatenate(query)],
            np.repeat(np.arange(len(query)), [len(rows) for rows in query]),
        )


def measured(x: np.ndarray, y: np.ndarray, shots: int, count: int) -> list[dict[str, Any]]:
    """A row for each head."""
    heads: dict[str, Heads] = {
        "photos": one_by_one(photos(x.shape[1])),
        "nearest mean": one_by_one(nearest_mean),
        "logistic regression (scikit-learn)": one_by_one(logistic_regression),
        "dense head (Teachable Machine)": in_blocks(dense_heads),
    }
    tasks = list(tasks_of(x, y, shots, count))
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for name, head in heads.items():
        accuracies, confidences, hits = [], [], []
        for task, probabilities in zip(tasks, head(tasks), strict=True):
            right = probabilities.argmax(-1) == task.query_y
            accuracies.append(100 * right.mean())
            confidences.append(probabilities.max(-1))
            hits.append(right)
        each = np.array(accuracies)
        first = each if first is None else first
        rows.append(
            {
                "head": name,
                "shots": shots,
                "accuracy": round(float(each.mean()), 2),
                "ci95": interval(each),
                "ece": round(
                    calibration_error(np.concatenate(confidences), np.concatenate(hits)), 2
                ),
                "photos_better_by": round(float((first - each).mean()), 2),
                "photos_better_by_ci95": interval(first - each),
                "tasks": count,
            }
        )
    return rows


def interval(each: np.ndarray) -> float:
    """Half the 95 % confidence interval of a mean over tasks."""
    return round(float(1.96 * each.std(ddof=1) / len(each) ** 0.5), 2)


def calibration_error(confidences: np.ndarray, hits: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error in points: |confidence - accuracy|, averaged over bins."""
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    apart = [abs((confidences - hits)[places == b].sum()) for b in range(bins)]
    return 100 * float(sum(apart)) / len(hits)


def photos(size: int) -> Head:
    """The head of `meta_tf.pretrained("photos")`, on precomputed features."""
    features = keras.Input((size,))
    x = keras.layers.UnitNormalization()(keras.ops.sqrt(features))
    body = keras.Model(features, x)
    algorithm = meta_tf.R2D2(ways=60, regularization=0.1, scale=10.0)
    learner = meta_tf.MetaLearner(body, algorithm, LOSS, batch_norm="running")

    def head(task: Task) -> np.ndarray:
        fitted = learner.adapt(task.support_x, task.support_y)
        ways = task.support_y.max() + 1
        return softmax(fitted.predict_on_batch(task.query_x)[:, :ways])

    return head


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


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [Q, N] of logits [Q, N]."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


if __name__ == "__main__":
    main()
