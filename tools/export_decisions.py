"""Writes to docs/export-differences.md how many predicted classes an export changes.

    python -m tools.export_decisions --data_dir=data/omniglot

The shipped learners of handwriting classify the drawings of 100 Omniglot test tasks in
TensorFlow and in LiteRT, with 32-bit and 16-bit weights.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import meta_tf
from meta_tf import zoo
from tools.export_table import put

TASKS, QUERIES = 100, 3
KINDS = {"float32": False, "float16": True}


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True, help="where Omniglot's archives are")
    options = parser.parse_args()
    lines = [
        "| learner | weights | MB | decisions | changed | right in TensorFlow | right in LiteRT |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (name for name in zoo.names() if zoo.trained_on(name) is zoo.OMNIGLOT):
        lines += _rows(name, options.data_dir)
    put("decisions", "\n".join(lines))


def _rows(name: str, data_dir: str) -> list[str]:
    learner = meta_tf.pretrained(name)
    ways = 5 if "_5way" in name else 20
    tasks = meta_tf.tasks.Omniglot(data_dir, ways=ways, shots=1, queries=QUERIES).test
    batches = list(tasks.batches(1, seed=0).take(TASKS))
    answers = np.array([y[0] for _, y in batches])
    expected = np.array([learner.predict_on_batch(x)[0].argmax(-1) for x, _ in batches])
    rows = []
    for kind, half in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "learner.tflite"
            learner.export(path, "litert", ways=ways, queries=ways * QUERIES, float16=half)
            size = path.stat().st_size / 1e6
            given = np.array([_decide(path, x) for x, _ in batches])
        right = [f"{100 * np.mean(which == answers):.2f} %" for which in (expected, given)]
        changed = np.sum(given != expected)
        cells = [name, kind, f"{size:.2f}", str(answers.size), str(changed), *right]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _decide(path: Path, x: dict[str, Any]) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path)).get_signature_runner("adapt_and_predict")
    task = {name: t[0].numpy() for name, t in x.items()}
    task["support_y"] = task["support_y"].astype("int32")
    return run(**task)["predictions"].argmax(-1)


if __name__ == "__main__":
    main()
