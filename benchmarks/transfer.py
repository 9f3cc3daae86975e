"""The transfer-learning baseline: a frozen classification network with a simple classifier.

    python -m benchmarks.transfer --data_dir=data/omniglot

Trains the network of the tables, conv4 with 64 filters and strides, as an ordinary Keras model to
classify all training characters of Omniglot; each of a character's four rotations is a separate
class. Then freezes it, and learns a task from its features with the nearest class mean, ridge
regression or logistic regression. Validation tasks select the epoch and, for each task size, the
classifier; the 600 test tasks are those of `meta-tf train`. Writes a folder in
benchmarks/runs/ for each size. Takes twenty minutes on one core.
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

import meta_tf
from meta_tf.batch.map_tasks import cores
from meta_tf.checks import check_integer
from meta_tf.command.finish import versions
from meta_tf.files import write_text
from meta_tf.tasks.class_split import ClassSplit

RESULTS = Path(__file__).resolve().parent / "runs"
SIZES = ((5, 1), (5, 5), (20, 1))  # ways and shots, one table each
QUERIES, TASKS, BATCH = 5, 600, 64
HEADS = (meta_tf.ProtoNet, meta_tf.R2D2, meta_tf.LogisticRegression)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True, help="the folder of Omniglot's archives")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the drawings")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where to write the folders")
    options = parser.parse_args()
    try:  # before anything slow
        check_integer("epochs", options.epochs, at_least=1)
        tasks = _tasks(options.data_dir, ways=20, shots=1, rotations="classes")
        options.output.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    keras.utils.set_random_seed(0)
    begin = time.monotonic()
    body, epochs = pretrained(tasks, options.epochs)
    about = {
        "iterations": epochs[-1]["steps"],
        "parameters": body.count_params(),
        "training_minutes": round((time.monotonic() - begin) / 60, 2),
        "cores": cores(),
        "command": f"python -m benchmarks.transfer --data_dir={options.data_dir}"
        + (f" --epochs={options.epochs}" if options.epochs != parser.get_default("epochs") else ""),
        "versions": versions(),
    }
    metrics = [",".join(epochs[0]), *(",".join(map(str, row.values())) for row in epochs)]
    for ways, shots in SIZES:
        found = measured(body, options.data_dir, ways, shots)
        folder = options.output / f"omniglot_{ways}way_{shots}shot_transfer"
        folder.mkdir(exist_ok=True)
        write_text(folder / "metrics.csv", "\n".join(metrics) + "\n")
        write_text(folder / "results.json", json.dumps({**found, **about}, indent=2) + "\n")
        print(f"{ways}-way {shots}-shot: {found['algorithm']}, {found['mean'][-1]:.4f}", flush=True)


def pretrained(tasks: meta_tf.tasks.Omniglot, epochs: int) -> tuple[keras.Model, list[Row]]:
    """The network of the best epoch, without its classifier; and a row for each epoch."""
    body = meta_tf.models.conv4(ways=None)
    drawings = tasks.train.labelled().cache().shuffle(100_000, seed=0).batch(BATCH)
    steps = len(drawings)
    whole = keras.Sequential([body, keras.layers.Dense(len(tasks.train.classes))])
    rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * steps)
    whole.compile(keras.optimizers.Adam(rate), LOSS, metrics=["accuracy"])
    rows: list[Row] = []
    best = body.get_weights()
    for epoch in range(1, epochs + 1):
        told = whole.fit(drawings, shuffle=False, verbose=2).history
        valid = on_features(tasks.valid.embedded(body), meta_tf.ProtoNet, 20).mean[-1]
        row = {"epoch": epoch, "steps": epoch * steps}
        row |= {name: told[name][0] for name in ("loss", "accuracy")} | {"val_accuracy": valid}
        print(row, flush=True)
        if valid > max((row["val_accuracy"] for row in rows), default=0):
            best = body.get_weights()
        rows.append(row)
    body.set_weights(best)
    return body, rows


def measured(body: keras.Model, data_dir: str, ways: int, shots: int) -> Row:
    """Evaluates test tasks with the classifier that is best on validation tasks."""
    tasks = _tasks(data_dir, ways=ways, shots=shots)
    features = tasks.valid.embedded(body)
    valid = {head.__name__: on_features(features, head, ways).mean[-1] for head in HEADS}
    chosen = max(HEADS, key=lambda head: valid[head.__name__])
    found = json.loads(on_features(tasks.test.embedded(body), chosen, ways).to_json())
    return {**found, "validation": valid}


def on_features(part: ClassSplit, head: Any, ways: int) -> meta_tf.Evaluation:
    """Evaluates a classifier on tasks whose inputs are features."""
    x, _ = part.task_spec
    as_they_are = keras.Sequential([keras.Input(x["support_x"].shape[1:]), keras.layers.Identity()])
    learner = meta_tf.MetaLearner(as_they_are, head(ways=ways), LOSS, batch_norm="running")
    return meta_tf.evaluate(learner, part, TASKS, verbose=0)


def _tasks(data_dir: str, **settings: Any) -> meta_tf.tasks.Omniglot:
    return meta_tf.tasks.Omniglot(data_dir, queries=QUERIES, **settings)


if __name__ == "__main__":
    main()
