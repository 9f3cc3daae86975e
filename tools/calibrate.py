"""Calibrates the shipped learners of characters, and measures them on test characters.

    python -m tools.calibrate --omniglot=FOLDER [NAME ...]
    python -m tools.calibrate --chinese=FOLDER         # of benchmarks.data.chinese_characters

Chooses temperatures and thresholds on tasks of the validation characters and writes
meta_tf/zoo/NAME.calibration.json, with the results on 600 tasks of the test characters, or fewer
for a learner that predicts each query alone (batch norm transductive). The learners' own files
stay the same: `meta_tf.pretrained` reads the calibration from its file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import meta_tf
from meta_tf import zoo
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.files import write_text
from meta_tf.learner.query_batch import depends_on_batch

ALONE = 1000  # classes whose queries are predicted one by one
SIZES = [(ways, shots) for ways in (2, 3, 5, 10, 20, 60) for shots in (1, 2, 5)]


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="learners; all of the data if left out")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--omniglot", type=Path, help="the folder of the drawings")
    data.add_argument("--chinese", type=Path, help="the folder of the pictures")
    parser.add_argument("--tasks", type=int, default=600, help="test tasks of each learner")
    options = parser.parse_args()
    kind = "chinese" if options.chinese else "omniglot"
    for name in options.names or [n for n in zoo.characters() if n.startswith(kind)]:
        learner = meta_tf.pretrained(name)
        ways = learner.algorithm.prediction_size(learner.network) or learner.model.output_shape[-1]
        # A learner with an inner loop was trained for one size, and learns fewer classes as well.
        free = isinstance(learner.algorithm, EmbeddingLearner)
        sizes = [(n, k) for n, k in SIZES if n <= ways and (free or k == 1)]

        def source(ways: int, shots: int) -> meta_tf.tasks.Source:
            if options.omniglot:
                return meta_tf.tasks.Omniglot(options.omniglot, ways=ways, shots=shots, queries=5)
            # Some training characters have only eight pictures.
            size = {"ways": ways, "shots": shots, "queries": 3}
            return meta_tf.tasks.ImageFolder(options.chinese, cache=True, **size)

        parts = [source(*size).valid for size in sizes]
        # A learner with an inner loop has one size, and so more tasks of it than by default.
        chosen_on, tasks = 100 if free else 300, options.tasks
        if depends_on_batch(learner.network):
            chosen_on, tasks = (min(n, ALONE // ways) for n in (chosen_on, tasks))
        calibration = learner.calibrate(*parts, tasks_number=chosen_on)
        tested = [(5, 1), (20, 1), (20, 5)] if free else [(ways, 1)]
        results = [meta_tf.confidence(learner, source(*size).test, tasks) for size in tested]
        for result in results:
            print(f"{name}: {result}", flush=True)
        about = {
            "command": f"python -m tools.calibrate --{kind}=FOLDER {name}",
            "calibration": calibration.get_config(),
            "test": [dataclasses.asdict(result) for result in results],
        }
        write_text(zoo.calibration_file(name), json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
