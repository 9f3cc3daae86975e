"""Baselines and learners on new speakers (Vowel) and new patients (Remifentanil).

    python -m benchmarks.real_problems vowel
    python -m benchmarks.real_problems remifentanil

Run the recipes in benchmarks/data/ first. All methods use the same tasks: every whole test group,
with several random support sets. Penalties are chosen only on training groups. Writes
benchmarks/results/real_NAME.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import ridge
from benchmarks.interval import interval
from benchmarks.nearest import class_mean, nearest_neighbour, whitening

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DRAWS = {"vowel": 86, "remifentanil": 10}  # 602 tasks from 7 speakers; 650 from 65 patients
FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=DRAWS)
    parser.add_argument("--data", default="data", help="the folder of the tables")
    parser.add_argument("--baselines", action="store_true", help="without a training")
    given = parser.parse_args()
    data = Path(given.data) / f"{given.name}.csv"
    measure = vowel if given.name == "vowel" else remifentanil
    rows = measure(data, train=not given.baselines)
    path = RESULTS / f"real_{given.name}.json"
    path.write_text(json.dumps({"draws": DRAWS[given.name], "rows": rows}, indent=2) + "\n")
    print(path.read_text())


def vowel(data: Path, train: bool) -> list[dict]:
    """Accuracy on the vowels of speakers 8 to 14."""
    source = _source(data, "vowel", "speaker", "vowel_groups.json", shots=1)
    known, tasks = _standardized(source, DRAWS["vowel"])
    turned = whitening(known)
    rows = {
        "nearest neighbour among the known speakers": [nearest_neighbour(known, t) for t in tasks],
        "nearest class mean of the support set": [class_mean(t, np.eye(9)) for t in tasks],
        "the same, whitened by the known speakers": [class_mean(t, turned) for t in tasks],
    }
    if train:
        trained = _trained("vowel", data, "vowel_groups.json", len(tasks))
        rows["ProtoNet, preset `vowel`"] = trained
    return [_row(name, values, source.test.groups) for name, values in rows.items()]


def remifentanil(data: Path, train: bool) -> list[dict]:
    """Mean squared error of the log concentration, with five folds of the patients."""
    found: dict[str, list[float]] = {}
    groups: list[str] = []
    for fold in range(FOLDS):
        lists = f"remifentanil_groups_{fold}.json"
        source = _source(data, "log_concentration", "patient", lists, shots=5, features=FEATURES)
        known, tasks = _standardized(source, DRAWS["remifentanil"])
        rows = ridge.errors(known, tasks)
        if train:
            trained = _trained("remifentanil", data, lists, len(tasks))
            rows["MAML, preset `remifentanil`"] = trained
        for name, values in rows.items():
            found.setdefault(name, []).extend(np.ravel(_by_group(values, source.test.groups)))
        groups += source.test.groups
    return [_row(name, values, groups) for name, values in found.items()]


FEATURES = tuple(f"dose_{m}min" for m in (1, 3, 10, 30, 100))
FEATURES += ("age", "height", "weight", "body_surface", "lean_mass", "male")


def _source(data: Path, target: str, group: str, lists: str, shots: int, features=None):
    import meta_tf

    split = ROOT / "benchmarks" / "data" / lists
    return meta_tf.tasks.from_table(data, target, group, features, split=split, shots=shots)


def _standardized(source, draws: int):
    """The known groups whole, and the test's tasks, of features scaled by the training groups."""
    rows, _ = source.train.examples()
    mean, deviation = rows.mean(0), rows.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)

    def scaled(task: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        support_x, support_y, query_x, query_y = task
        support_x, query_x = ((x - mean) / deviation for x in (support_x, query_x))
        return support_x, support_y, query_x, query_y

    known = [scaled(t) for part in (source.train, source.valid) for t in _tasks(part, 1)]
    return [_whole(t) for t in known], [scaled(t) for t in _tasks(source.test, draws)]


def _tasks(part, draws: int) -> list[tuple[np.ndarray, ...]]:
    """`(support_x, support_y, query_x, query_y)` of every group."""
    names = ("support_x", "support_y", "query_x")
    batches = part.whole_groups(draws).batches(seed=0)
    return [tuple(t.numpy()[0] for t in (*(x[n] for n in names), y)) for x, y in batches]


def _whole(task: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    support_x, support_y, query_x, query_y = task
    return np.concatenate([support_x, query_x]), np.concatenate([support_y, query_y])


def _trained(preset: str, data: Path, lists: str, tasks: int) -> list[float]:
    """The metric of every test task after training with the command."""
    import keras

    import meta_tf

    with tempfile.TemporaryDirectory() as folder:
        words = [f"--preset={preset}", f"--data={data}", f"--workdir={folder}"]
        words += [f"--groups_file={ROOT / 'benchmarks' / 'data' / lists}", "--eval_tasks=2"]
        # A separate process, because a device can be set up only once.
        subprocess.run([sys.executable, "-m", "meta_tf.command", "train", *words], check=True)
        learner = keras.models.load_model(Path(folder) / "learner.keras", compile=False)
    target, group = {"vowel": ("vowel", "speaker")}.get(preset, ("log_concentration", "patient"))
    shots, features = (1, None) if preset == "vowel" else (5, FEATURES)
    source = _source(data, target, group, lists, shots, features)
    whole = source.test.whole_groups(DRAWS[preset])
    return meta_tf.evaluate(learner, whole, tasks).per_task[:, -1].tolist()


def _by_group(values: list[float], groups: list[str]) -> np.ndarray:
    """The mean of each group over its support sets."""
    return np.reshape(values, [-1, len(groups)]).mean(0)


def _row(name: str, values: list[float], groups: list[str]) -> dict:
    """Mean over groups, and the half-width of its 95 % interval over groups, 1.96 σ / √G."""
    by_group = _by_group(values, groups)
    found = interval(by_group)
    return {
        "name": name,
        "mean": found["mean"],
        "ci95_over_groups": found["ci95"],
        "by_group": {g: round(float(v), 4) for g, v in zip(groups, by_group, strict=True)},
    }


if __name__ == "__main__":
    main()
