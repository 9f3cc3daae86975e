"""Baselines and a learner on unseen Chinese characters, kinds of road signs, and voices.

    meta-tf train --preset=chinese_characters --workdir=RUN
    python -m benchmarks.unseen_classes chinese_characters --learner=RUN/learner.keras

Run the recipes in benchmarks/data/ first. All methods use the same 600 test tasks. Writes
benchmarks/results/real_NAME.json. The learner can also be a checkpoint of an unfinished run.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

import meta_tf
from benchmarks.interval import interval
from benchmarks.nearest import nearest
from benchmarks.voices import Features, by_voice, of_length_one, whitened_summaries
from meta_tf.tasks.class_source import ClassData, ClassSource
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import pictures_in
from meta_tf.tasks.source import SPLITS
from meta_tf.tasks.split import Split
from meta_tf.zoo import pretrained

RESULTS = Path(__file__).resolve().parent / "results"
TASKS = 600
SETTINGS: dict[str, dict[str, int]] = {
    "chinese_characters": {"queries": 5},
    "chinese_faces": {"queries": 4},  # five brush typefaces: one example and four queries
    "road_signs": {"queries": 5, "size": 32, "channels": 3},
    "voices": {"queries": 5, "size": 40},
}
WAYS = {"voices": 5}  # out of seven; otherwise 20
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SETTINGS)
    parser.add_argument("--data", default="data", help="the folder with the recipes' output")
    parser.add_argument(
        "--learner",
        nargs="+",
        default=[],
        help="learner.keras of one or several runs, or one of their checkpoints",
    )
    parser.add_argument(
        "--part", choices=SPLITS[1:], default="test", help="whose classes are unseen"
    )
    parser.add_argument("--iterations", type=int, help="outer steps it has made")
    given = parser.parse_args()
    path = Path(given.data) / given.name
    ways = WAYS.get(given.name, 20)
    part = tasks_of(path, given.name, ways, given.part)
    if given.name == "voices":
        rows = voice_baselines(path, part)
    else:
        rows = [measured(part, f"pixel nearest neighbour, {ways}-way")]
    if given.name.startswith("chinese"):
        rows += omniglot_learners(path, given.name, part)
    for file in given.learner:
        learner = keras.models.load_model(file, compile=False)
        row = learned(learner, part, f"ProtoNet, {ways}-way", given.iterations)
        if given.name == "voices":
            choose = functools.partial(most_likely, learner)
            row["by_voice"] = by_voice(part, choose, TASKS)
        rows.append(row)
    told = {"tasks": TASKS, "shots": 1, **SETTINGS[given.name], "rows": rows}
    ending = "" if given.part == "test" else f"_{given.part}"
    result = RESULTS / f"real_{given.name}{ending}.json"
    result.write_text(json.dumps(told, indent=2) + "\n")
    print(result.read_text())


def tasks_of(path: Path, name: str, ways: int, part: str = "test") -> Split:
    """A single split; its episodes are those of `--task=images` on the whole folder."""
    settings = {"size": 28, "channels": 1, **SETTINGS[name]}
    folders = sorted(f for f in (path / part).iterdir() if f.is_dir())
    files = [[ImageFile.at(p) for p in pictures_in(f, "A class folder")] for f in folders]
    images = decode_images(
        [file for of_class in files for file in of_class],
        (settings["size"], settings["size"]),
        settings["channels"],
    )
    names = [folder.name for folder in folders]
    data = ClassData(images, np.array([len(of_class) for of_class in files]), names)
    sizes = {"ways": ways, "shots": 1, "queries": settings["queries"]}
    return getattr(ClassSource(data, [names] * 3, **sizes, rotations=None), part)


def omniglot_learners(path: Path, name: str, part: Split) -> list[Row]:
    """The shipped learners, trained on Omniglot's handwriting, on these tasks."""
    many = learned(pretrained("omniglot_20way_1shot"), part, "Omniglot learner, 20-way")
    five = tasks_of(path, name, ways=5)
    few = learned(pretrained("omniglot_5way_1shot"), five, "Omniglot learner, 5-way")
    return [many, measured(five, "pixel nearest neighbour, 5-way"), few]


def voice_baselines(path: Path, part: Split) -> list[Row]:
    """The nearest spectrogram, and the nearest clip in the features of `benchmarks.voices`."""
    whitened = whitened_summaries(path / "train", SETTINGS["voices"]["size"])
    rows = []
    for name, features in (
        ("nearest spectrogram, 5-way", flat),
        ("whitened mean and deviation of each band, 5-way", whitened),
        ("the same by angle, 5-way", of_length_one(whitened)),
    ):
        found = by_voice(part, functools.partial(nearest_class, features=features), TASKS)
        rows.append(measured(part, name, features) | {"by_voice": found})
    return rows


def flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1)


def measured(part: Split, name: str, features: Features = flat) -> Row:
    """Accuracy of the nearest support example, in pixels or in features."""
    accuracies = []
    for x, y in part.batches(1, seed=0).take(TASKS):
        accuracies.append(np.mean(nearest_class(x, features) == y[0].numpy()))
    return _row(name, np.array(accuracies))


def nearest_class(x: dict[str, Any], features: Features) -> np.ndarray:
    """The class of the nearest support example for each query of a batch of one task."""
    support, query = (features(x[k][0].numpy()) for k in ("support_x", "query_x"))
    return x["support_y"][0].numpy()[nearest(query, support)]


def most_likely(learner: Any, x: dict[str, Any]) -> np.ndarray:
    """The class that a learner predicts for each query of a batch of one task."""
    return learner.predict_on_batch(x)[0].argmax(-1)


def learned(learner: Any, part: Split, name: str, iterations: int | None = None) -> Row:
    """Accuracy of a learner after all its inner steps."""
    found = meta_tf.evaluate(learner, part, TASKS, verbose=0)
    about = {"algorithm": found.algorithm, "batch_norm": found.batch_norm}
    row = _row(name, np.asarray(found.per_task)[:, -1]) | about
    return row | ({"iterations": iterations} if iterations else {})


def _row(name: str, accuracies: np.ndarray) -> Row:
    """Mean over tasks, and the half-width of its 95 % interval, 1.96 σ / √600."""
    return {"name": name, **interval(accuracies)}


if __name__ == "__main__":
    main()
