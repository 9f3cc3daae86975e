"""Ships the learner of a published run with the library, without its optimiser.

    python -m tools.ship omniglot_5way_1shot [--as NAME]

Reads `benchmarks/runs/omniglot_5way_1shot/learner.keras`, which the run's command writes, and
writes the file that `meta_tf.pretrained("omniglot_5way_1shot")` loads. Copies the run's
`results.json` and any other evaluation in its folder beside it, for the learner's card.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import keras

from meta_tf import zoo

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "runs"


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the run's folder")
    parser.add_argument("--as", dest="learner", help="the learner's name; the folder's if left out")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of runs")
    options = parser.parse_args()
    run = options.results / options.name
    for file in ("learner.keras", "results.json"):
        if not (run / file).exists():
            raise SystemExit(f"tools.ship: error: {run / file} does not exist. Train it first.")
    path = zoo.FOLDER / f"{options.learner or options.name}.keras"
    keras.models.load_model(run / "learner.keras", compile=False).save(path)
    shutil.copyfile(run / "results.json", path.with_suffix(".json"))
    for other in sorted({*run.glob("*.json")} - {run / "results.json"}):
        shutil.copyfile(other, path.with_suffix(f".{other.name}"))
    print(f"{path}: {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
