"""Learns from five drawings on a device with LiteRT only, without TensorFlow or meta_tf.

    pip install ai-edge-litert
    python on_a_device.py learner.tflite

Create `learner.tflite` on a computer with TensorFlow and meta_tf:

    meta-tf export --learner=omniglot_5way_1shot --format=litert --output=learner.tflite

Any learner of Omniglot's drawings with five classes or more works.

The learned weights are kept in a file of 0.5 MB beside the learner, so the device learns only once:
a second call of the program uses that file, unless it is of another learner or other drawings.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

SIZE = 28
ANY = -1  # examples
# One symbol per class, as points of a stroke: column and row, from 0 to 1.
STROKES = {
    "bar": [(0.5, 0.1), (0.5, 0.9)],
    "corner": [(0.2, 0.1), (0.2, 0.9), (0.85, 0.9)],
    "hat": [(0.1, 0.85), (0.5, 0.1), (0.9, 0.85)],
    "box": [(0.15, 0.15), (0.85, 0.15), (0.85, 0.85), (0.15, 0.85), (0.15, 0.15)],
    "zigzag": [(0.1, 0.15), (0.9, 0.15), (0.1, 0.85), (0.9, 0.85)],
}


def draw(points: list[tuple[float, float]], rng: np.random.Generator) -> np.ndarray:
    """A drawing [28, 28, 1] of a stroke with an unsteady hand: ink 1 on a background of 0."""
    picture = np.zeros([SIZE, SIZE], np.float32)
    shaken = np.array(points) + rng.normal(scale=0.03, size=[len(points), 2])
    for start, end in itertools.pairwise(shaken):
        for share in np.linspace(0, 1, 4 * SIZE):
            column, row = ((1 - share) * start + share * end) * (SIZE - 2)
            row, column = (int(np.clip(v, 0, SIZE - 2)) for v in (row, column))
            picture[row : row + 2, column : column + 2] = 1
    return picture[..., None]


def size_of(signature: Any, name: str) -> int:
    """The number of examples that a signature takes, or `ANY`."""
    return int(signature.get_input_details()[name]["shape_signature"][0])


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("learner", type=Path, help="the exported file")
    parser.add_argument("--learned", type=Path, help="default: LEARNER.learned.npz")
    options = parser.parse_args()
    path = options.learned or options.learner.with_suffix(".learned.npz")
    interpreter = Interpreter(model_path=str(options.learner))
    rng = np.random.default_rng(0)
    drawings = np.stack([draw(points, rng) for points in STROKES.values()])
    made_of = hashlib.sha256(options.learner.read_bytes() + drawings.tobytes()).hexdigest()

    if path.exists():
        weights = dict(np.load(path))
        if str(weights.pop("made_of", "")) != made_of:
            parser.error(
                f"{path} is of another learner or of other drawings. Delete it, or give another "
                "name: --learned=FILE."
            )
        print(f"Read what was learned from {path}.")
    else:
        adapt = interpreter.get_signature_runner("adapt")
        if size_of(adapt, "support_x") not in (ANY, len(STROKES)):
            parser.error(
                f"{options.learner} learns from {size_of(adapt, 'support_x')} drawings, not from "
                f"{len(STROKES)}. Export it without --ways and --shots."
            )
        start = time.perf_counter()
        weights = adapt(support_x=drawings, support_y=np.arange(5, dtype=np.int32))
        print(f"Learned from five drawings in {1000 * (time.perf_counter() - start):.0f} ms.")
        with path.open("wb") as file:
            np.savez(file, made_of=made_of, **weights)

    predict = interpreter.get_signature_runner("predict")
    # In one batch, as some learners use all of them together.
    count = size_of(predict, "query_x")
    count = 2 * len(STROKES) if count == ANY else count
    names = list(STROKES)
    shown = [names[i % len(names)] for i in range(count)]
    new = np.stack([draw(STROKES[name], rng) for name in shown])
    logits = predict(query_x=new, **weights)["predictions"]
    for name, guess in zip(shown, logits.argmax(-1), strict=True):
        print(f"{name}: recognised as {names[guess]}")


if __name__ == "__main__":
    main()
