"""`meta-tf train --task=table`, from a file to its results."""

import json

import keras
import numpy as np
import pytest

from tests.command_line import one_after_another

pytest.importorskip("pandas")

SMALL = ["--iterations=4", "--checkpoint_every=4", "--steps_per_execution=2", "--hidden=8"]
TABLE = ["--task=table", "--data=patients.csv", "--group=patient"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of 24 patients, 8 rows each but for the last, who has 9."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    patient = np.append(np.arange(192) // 8, 23)
    lines = [
        f"p{p},{i % 8},{rng.uniform():.4f},{rng.normal():.4f},{'no' if i % 2 else 'yes'}"
        for i, p in enumerate(patient)
    ]
    (folder / "patients.csv").write_text("\n".join(["patient,hour,dose,effect,ill", *lines]))
    groups = {"train": [f"p{i}" for i in range(16)], "valid": [f"p{i}" for i in range(16, 20)]}
    groups["test"] = [f"p{i}" for i in range(20, 24)]
    (folder / "groups.json").write_text(json.dumps(groups))
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    return one_after_another(
        [
            ["train", *SMALL, *TABLE, "--target=effect", "--features=dose", "--eval_tasks=10",
             "--groups_file=groups.json", "--workdir=by_value"],
            ["evaluate", "--learner=by_value", "--eval_tasks=6", "--seed=5", "--output=again.json"],
            ["train", *SMALL, *TABLE, "--target=ill", "--features=dose,effect", "--shots=2",
             "--algorithm=protonet", "--time=hour", "--groups_file=groups.json",
             "--workdir=by_class"],
        ],
        cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def refusals(folder):
    return one_after_another(
        [
            ["train", *TABLE, "--target=effect", "--algorithm=protonet", "--features=dose"],
            ["train", "--task=table", "--target=effect", "--group=patient"],
            ["train", *TABLE, "--target=cost"],
            ["train", *TABLE, "--target=effect", "--features=patients"],
            ["train", *TABLE, "--target=effect", "--features=dose", "--groups_file=none.json"],
            ["train", "--task=sinusoid", "--data=patients.csv"],
        ],
        cwd=folder,
    )


@pytest.mark.slow
def test_a_run_evaluates_every_row_of_the_test_groups(folder, runs):
    assert [code for code, *_ in runs] == [0, 0, 0], runs
    results = json.loads((folder / "by_value" / "results.json").read_text())
    assert results["tasks"] == 12  # four patients, three draws: ten or more
    assert results["metric"] == "mse"
    assert results["flags"]["group"] == "patient"
    assert json.loads((folder / "again.json").read_text())["tasks"] == 8
    assert results["calibration"] is None


@pytest.mark.slow
def test_classes_are_counted_in_the_table_and_the_earliest_not_drawn_twice(folder, runs):
    results = json.loads((folder / "by_class" / "results.json").read_text())
    assert (results["metric"], results["ways"], results["tasks"]) == ("accuracy", 2, 4)
    learner = keras.models.load_model(folder / "by_class" / "learner.keras")
    assert learner.calibration.get_config() == results["calibration"]
    assert "Calibrated on 100 validation tasks" in runs[2][1]
    assert set(results["others"]) == {"nll", "ece"}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, ["--algorithm=protonet needs classes", "--target=effect"]),
        (1, ["--data is needed"]),
        (2, ["--target must name a column", "patient, hour, dose", "'cost'"]),
        (3, ["--features must name a column", "'patients'"]),
        (4, ["--groups_file must be a JSON file", "none.json"]),
        (5, ["--data has no meaning for --task=sinusoid"]),
    ],
)
def test_wrong_flags_are_told_in_one_line(refusals, number, words):
    code, _, err = refusals[number]
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    for word in words:
        assert word in err
