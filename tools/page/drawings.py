"""Compares the page's pictures with those that the learners were trained on.

    python -m tools.page.drawings --data_dir=DIR [--learner=omniglot]

Omniglot's drawings pass, as paths of a pen, through the page's own code. The results are compared
with the pictures of the same drawings from `meta_tf.tasks.Omniglot`: pixel by pixel, and by a
learner's predictions for both. Writes benchmarks/results/page_drawings.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import meta_tf
from meta_tf.command.learners import load
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from tools.page.keep import keep
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
    parser.add_argument("--learner", default="omniglot")
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--part", choices=["train", "valid", "test"], default="test")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    keep(options.results, Path(options.learner).stem, measure(options))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The differences of pixels and a learner's accuracies, as written to the file."""
    tasks = meta_tf.tasks.Omniglot(options.data_dir, rotations=None)
    characters = getattr(tasks, options.part).classes
    drawn = Drawings(options.data_dir)
    chosen = _chosen(len(characters), options.tasks)
    wanted = sorted({(int(c), int(n)) for task in chosen for c, *both in task for n in both})
    rows = {pair: row for row, pair in enumerate(wanted)}
    names = [(characters[c], n) for c, n in wanted]
    strokes = [drawn.strokes(*name) for name in names]
    pictures = {
        "training": _trained_on(drawn, names),
        "page, as drawn": pixels_of(strokes, SIZE, side=None),
        "page": pixels_of(strokes, SIZE),
    }
    learner = load(options.learner)
    return {
        "part": options.part,
        "tasks": options.tasks,
        "drawings": len(wanted),
        "pictures": {
            name: {
                **_compared(found, pictures["training"]),
                "right": _accuracy(learner, found, rows, chosen),
            }
            for name, found in pictures.items()
        },
    }


def _compared(found: np.ndarray, trained_on: np.ndarray) -> dict[str, float]:
    """The differences between pictures and those in training, pixel by pixel."""
    return {
        "mean_difference": float(abs(found - trained_on).mean()),
        "correlation": float(np.corrcoef(found.ravel(), trained_on.ravel())[0, 1]),
        "mean_ink": float(found.mean()),
    }


def _chosen(characters: int, tasks: int) -> np.ndarray:
    """For each task and class: the character, a support drawing and a query drawing."""
    rng = np.random.default_rng(0)
    return np.array(
        [
            [[c, *rng.choice(EACH, 2, replace=False)] for c in rng.choice(characters, WAYS, False)]
            for _ in range(tasks)
        ]
    )


def _trained_on(drawn: Drawings, names: list[tuple[str, int]]) -> np.ndarray:
    """The drawings as pictures for training, [n, SIZE, SIZE, 1]."""
    files = [ImageFile(*drawn.file(*name)) for name in names]
    return (255 - decode_images(files, (SIZE, SIZE), channels=1)).astype("float32") / 255


def _accuracy(
    learner: meta_tf.MetaLearner, pictures: np.ndarray, rows: dict, chosen: np.ndarray
) -> float:
    """The accuracy for one new drawing at a time."""
    right = []
    for task in chosen:
        support = pictures[[rows[c, n] for c, n, _ in task]]
        fitted = learner.adapt(support, np.arange(WAYS))
        queries = pictures[[rows[c, n] for c, _, n in task]]
        logits = fitted.predict_one_by_one(queries, batch_with=support)
        right.append(logits.argmax(-1) == np.arange(WAYS))
    return float(np.mean(right))


if __name__ == "__main__":
    main()
