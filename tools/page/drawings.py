"""How far the page's pictures are from those that the learners were trained on.

    python -m tools.page.drawings --data_dir=DIR --learner=omniglot_5way_1shot

Drawings of Omniglot go, as paths of a pen, through the page's own code, and are compared
with what `meta_tf.tasks.Omniglot` makes of the same drawings: pixel by pixel, and by what a
learner makes of both. Writes benchmarks/results/page_drawings.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import meta_tf
from meta_tf.runs.learners import load_learner
from meta_tf.tasks.decode import ImageFile, decode_images
from tools.page.omniglot import Drawings
from tools.page.pixels import pixels_of

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "page_drawings.json"
SIZE = 28
WAYS = 5
EACH = 20  # drawings of a character


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--learner", default="omniglot_5way_1shot")
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--part", choices=["train", "valid", "test"], default="test")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = measure(options)
    text = json.dumps(found, indent=2)
    options.results.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Differences of pixels, and accuracies of a learner, as they are written."""
    tasks = meta_tf.tasks.Omniglot(options.data_dir, rotations=None)
    characters = getattr(tasks, options.part).classes
    drawn = Drawings(options.data_dir)
    chosen = _chosen(len(characters), options.tasks)
    wanted = sorted({(int(c), int(n)) for task in chosen for c, *both in task for n in both})
    rows = {pair: row for row, pair in enumerate(wanted)}
    names = [(characters[c], n) for c, n in wanted]
    original = _trained_on(drawn, names)
    page = pixels_of([drawn.strokes(*name) for name in names], SIZE)
    learner = load_learner(argparse.Namespace(learner=options.learner, **{"import": ()}))
    accuracies = {
        "learner": options.learner,
        "right_on_the_training_pixels": _accuracy(learner, original, rows, chosen),
        "right_on_the_page_pixels": _accuracy(learner, page, rows, chosen),
    }
    return {
        "part": options.part,
        "drawings": len(wanted),
        "mean_difference": _mean(abs(page - original)),
        "mean_ink": {"training": _mean(original), "page": _mean(page)},
        "largest_ink": {
            "training": _mean(original.max((1, 2, 3))),
            "page": _mean(page.max((1, 2, 3))),
        },
        "correlation": float(np.corrcoef(page.ravel(), original.ravel())[0, 1]),
        "tasks": options.tasks,
        **accuracies,
    }


def _chosen(characters: int, tasks: int) -> np.ndarray:
    """For each task and class: the character, a drawing to teach and one to ask for."""
    rng = np.random.default_rng(0)
    return np.array(
        [
            [[c, *rng.choice(EACH, 2, replace=False)] for c in rng.choice(characters, WAYS, False)]
            for _ in range(tasks)
        ]
    )


def _trained_on(drawn: Drawings, names: list[tuple[str, int]]) -> np.ndarray:
    """What training makes of the drawings, [n, SIZE, SIZE, 1]."""
    files = [ImageFile(*drawn.file(*name)) for name in names]
    return (255 - decode_images(files, (SIZE, SIZE), channels=1)).astype("float32") / 255


def _accuracy(
    learner: meta_tf.MetaLearner, pictures: np.ndarray, rows: dict, chosen: np.ndarray
) -> float:
    """The share of right answers to one new drawing at a time."""
    right = []
    company = learner.network.batch_norm == "transductive"
    for task in chosen:
        support = pictures[[rows[c, n] for c, n, _ in task]]
        fitted = learner.adapt(support, np.arange(WAYS))
        for label, (c, _, n) in enumerate(task):
            query = pictures[[rows[c, n]]]
            batch = np.concatenate([support, query]) if company else query
            right.append(fitted(batch).numpy()[-1].argmax() == label)
    return float(np.mean(right))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


if __name__ == "__main__":
    main()
