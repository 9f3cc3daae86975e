"""Ranges of ways, shots and queries on the command line: trained on, gone on with, evaluated."""

import json

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.command.learners import load
from tests.command_line import one_after_another

RANGES = ["--ways=2-4", "--shots=1-3", "--queries=1-2"]
SMALL = ["--model=mlp", "--hidden=8", "--image_size=6", "--meta_batch_size=2", "--eval_tasks=40"]
# Named, as a preset would have them, so that more of them are no other run.
SMALL += ["--meta_schedule=constant", "--steps_per_execution=2", "--scale=0.05"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Thirty classes of six pictures."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(30):
        (folder / f"class{number:02d}").mkdir()
        for i in range(6):
            picture = rng.integers(0, 256, [6, 6, 1], dtype=np.uint8)
            path = folder / f"class{number:02d}" / f"{i}.png"
            path.write_bytes(tf.io.encode_png(picture).numpy())
    return folder


@pytest.mark.slow
def test_a_run_of_ranges_goes_on_and_is_evaluated_as_it_was_trained_or_otherwise(images, tmp_path):
    train = ["train", "--task=images", f"--data_dir={images}", *SMALL, "--workdir=run"]
    evaluate = ["evaluate", "--learner=run", "--eval_tasks=40"]
    answers = one_after_another(
        [
            [*train, *RANGES, "--iterations=2"],
            [*train, *RANGES, "--iterations=4"],
            [*train, *RANGES, "--iterations=4", "--ways=2-3"],
            ["train", "--flagfile=run/flags.txt"],
            [*evaluate, "--output=same.json"],
            [*evaluate, "--ways=3", "--shots=1", "--output=other.json"],
            [*evaluate, "--ways=2-5"],
            [*train, "--ways=2-4", "--shots=1-6", "--workdir=none"],
        ],
        cwd=tmp_path,
    )
    codes = [code for code, _, _ in answers]
    assert codes == [0, 0, 1, 0, 0, 0, 1, 1], answers
    assert "Continuing from iteration 2" in answers[1][1]
    assert "--ways must be '2-4'" in answers[2][2] and "--ways=2-3" in answers[2][2]
    lines = (tmp_path / "run/flags.txt").read_text().splitlines()
    assert {*RANGES} < {*lines} and not any(line.startswith("--train_") for line in lines)
    results = json.loads((tmp_path / "run/results.json").read_text())
    # Of 40 tasks all are of the same end of a range with a probability of 2 · 2^-40 at most.
    assert (results["ways"], results["shots"], results["queries"]) == ([2, 4], [1, 3], [1, 2])
    assert results["settings"]["ways"] == 4 and results["flags"]["ways"] == "2-4"
    assert load(str(tmp_path / "run"), "learner").algorithm.ways == 4
    for command in (answers[1], answers[3], answers[4]):
        assert "40 new tasks (seed 0), 2–4-way 1–3-shot, 1–2 queries a class" in command[1]
    same, other = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("same", "other"))
    assert same["mean"] == results["mean"]
    assert "Evaluating 6 of 30 classes: the training had the others" in answers[4][1]
    assert (other["ways"], other["shots"], other["queries"]) == (3, 1, [1, 2])
    assert "4" in answers[6][2] and "class" in answers[6][2]  # it tells no fifth one apart
    assert "--shots" in answers[7][2] and "6 examples" in answers[7][2]


@pytest.mark.slow
def test_a_last_layer_is_as_wide_as_the_highest_number_of_ways(images, tmp_path):
    train = ["train", "--task=images", f"--data_dir={images}", "--algorithm=maml", *SMALL[:-1]]
    train += ["--ways=2-3", "--train_ways=2-4", "--iterations=2", "--adapt=none", "--workdir=run"]
    (code, out, err), (exported, _, refused) = one_after_another(
        [train, ["export", "--learner=run", "--output=small", "--ways=2-3"]], cwd=tmp_path
    )
    assert code == 0, err
    assert "2–3-way" in out
    learner = load(str(tmp_path / "run"), "learner")
    assert learner.model.output_shape == (None, 4)
    assert exported == 1 and "--ways=2-3: must be a positive integer" in refused
