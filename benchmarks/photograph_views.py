"""What the mean of several views of each photograph is worth.

    python -m benchmarks.photograph_views --photos=FOLDER

`FOLDER` as for `benchmarks.photographs`. The learner `photos` learns 600 tasks of five classes (or
all, if a set has fewer), once from one view of each picture and once from 2 and 6, paired. Writes
results/photograph_views.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.interval import interval
from benchmarks.photographs import RESULTS, SHOTS, SIZE, WAYS, Photos, Pictures, draw, pictures_in
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.files import write_text
from meta_tf.zoo.photos import VIEWS, features_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["hands", "blood"])
    parser.add_argument("--tasks", type=int, default=600)
    options = parser.parse_args()
    learner, rows = Photos(), []
    for name in options.sets:
        sets, seconds = features(options.photos / name)
        for shots in SHOTS:
            each = {
                views: accuracies(learner, x, shots, options.tasks) for views, x in sets.items()
            }
            for views in VIEWS:
                row = {"set": name, "shots": shots, "views": views, "tasks": options.tasks}
                row["accuracy"] = interval(each[views], 2)
                row["better_than_one_view_by"] = interval(each[views] - each[1], 2)
                row["cpu_seconds_a_picture"] = seconds[views]
                rows.append(row)
                print(json.dumps(row), flush=True)
    command = "python -m benchmarks.photograph_views --photos=FOLDER"
    text = json.dumps({"command": command, "rows": rows}, indent=2) + "\n"
    write_text(RESULTS.parent / "photograph_views.json", text)


def features(folder: Path) -> tuple[dict[int, Pictures], dict[int, float]]:
    """The features of a set's pictures by the number of views, and the time of each."""
    y, pictures = pictures_in(folder, at_once=12)
    network, pixels = efficientnet_lite0(SIZE), keras.Input([SIZE, SIZE, 3])
    models = {v: keras.Model(pixels, features_of(network, pixels, v)) for v in VIEWS}
    found: dict[int, list[Any]] = {views: [] for views in VIEWS}
    seconds = dict.fromkeys(VIEWS, 0.0)
    for images in pictures:
        for views, model in models.items():
            started = time.process_time()
            found[views].append(model.predict_on_batch(images))
            seconds[views] += time.process_time() - started
    each = {views: round(s / len(y), 4) for views, s in seconds.items()}
    return {views: (np.concatenate(x), y) for views, x in found.items()}, each


def accuracies(learner: Photos, pictures: Pictures, shots: int, count: int) -> np.ndarray:
    """The percentage of right answers in each task; the same tasks for all features."""
    rng = np.random.default_rng(shots)
    tasks = [draw(*pictures, WAYS, shots, rng)[0] for _ in range(count)]
    return np.array([100 * np.mean(learner(t).argmax(-1) == t.query_y) for t in tasks])


if __name__ == "__main__":
    main()
