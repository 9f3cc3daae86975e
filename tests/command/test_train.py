"""`meta-tf train` as its users meet it: run, killed, gone on with, given wrong flags."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest

from meta_tf.run.log import read_metrics
from tests.command_line import ROOT, one_after_another, run_program
from tests.pictures import noise_folder

SMALL = [
    "--iterations=600",
    "--checkpoint_every=200",
    "--steps_per_execution=50",
    "--eval_tasks=20",
]


def start(*flags):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, flags)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*flags):
    return run_program(ROOT / "train.py", *flags, cwd=ROOT)


def weights(workdir):
    """All numbers of the last checkpoint, the optimiser's among them, by name."""
    path = max((workdir / "checkpoints").glob("*.keras"))
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        found = {}
        h5py.File(file).visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else None
        )
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    code, out, err = run(*SMALL, "--profile", f"--workdir={workdir}")
    assert code == 0, err
    return workdir, out


def test_a_run_leaves_what_it_promises(finished):
    workdir, out = finished
    for name in (
        "flags.txt",
        "metrics.csv",
        "results.json",
        "fit.png",
        "inner_steps.png",
        "learning_curve.png",
        "learner.keras",
        "saved_model/saved_model.pb",
        "checkpoints/00000600.keras",
    ):
        assert (workdir / name).stat().st_size > 0, name
    assert list((workdir / "tensorboard").rglob("events*"))
    assert list((workdir / "tensorboard").rglob("*.xplane.pb"))
    with (workdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["200", "400", "600"]
    results = json.loads((workdir / "results.json").read_text())
    assert results["iterations"] == 600
    assert results["flags"]["shots"] == "10"
    seconds = sum(float(row["seconds"]) for row in rows)
    assert results["training_minutes"] == pytest.approx(seconds / 60, abs=0.01)
    for mean in results["mean"]:  # the table on screen shows the numbers on disk
        assert f"{mean:.4f} ±" in out


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_weights(finished, tmp_path):
    flags = [*SMALL, f"--workdir={tmp_path}"]
    process = start(*flags)
    while not list(tmp_path.glob("checkpoints/0*.keras")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "results.json").exists()

    code, out, err = run(*flags)

    assert code == 0, err
    assert "Continuing from iteration" in out
    expected, got = weights(finished[0]), weights(tmp_path)
    assert expected.keys() == got.keys() and len(expected) > 6
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    metrics = [read_metrics(w) for w in (finished[0], tmp_path)]
    for row in (*metrics[0], *metrics[1]):
        assert row.pop("seconds") > 0  # the one thing that may differ
    assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_a_finished_run_shows_its_results_again_and_a_flag_file_starts_it(finished):
    workdir, out = finished
    code, again, err = run(f"--flagfile={workdir / 'flags.txt'}")
    assert code == 0, err
    table = out[out.index("20 new tasks") :].splitlines()
    assert len(table) > 11  # after 0, 1 ... 10 steps
    assert all(line in again for line in table)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_told_and_a_lower_rate_may_follow(tmp_path):
    common = [
        "--iterations=40",
        "--eval_tasks=2",
        "--eval_steps=1",
        f"--workdir={tmp_path / 'run'}",
    ]
    told = one_after_another(
        [
            ["train", "--inner_lr=1000000", *common],
            ["train", "--inner_lr=0.01", "--steps_per_execution=20", *common],
        ]
    )
    assert [code for code, _, _ in told] == [1, 0], told
    (line,) = told[0][2].splitlines()
    for word in ("task ", "nan or infinite in iteration ", "--inner_lr=1e+06", "--clip_norm"):
        assert word in line
    assert (tmp_path / "run" / "results.json").exists()


@pytest.mark.slow
def test_a_finished_run_is_evaluated_on_fewer_inner_steps(finished, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(finished[0], workdir)
    code, _, err = run(*SMALL, f"--workdir={workdir}", "--eval_steps=2")
    assert code == 0, err
    before, after = (json.loads((w / "results.json").read_text()) for w in (finished[0], workdir))
    assert after["steps"] == [0, 1, 2] and after["mean"] == before["mean"][:3]
    assert keras.models.load_model(workdir / "learner.keras").algorithm.eval_steps == 2


@pytest.mark.slow
def test_another_setting_is_refused_and_nothing_is_damaged(finished):
    workdir, _ = finished
    before = (workdir / "flags.txt").read_bytes()
    assert_one_line(run(*SMALL, f"--workdir={workdir}", "--shots=5"), "--shots", "'10'", "=5")
    fewer = [*SMALL, f"--workdir={workdir}", "--iterations=200"]
    assert_one_line(run(*fewer), "--iterations", "600", "200")
    assert (workdir / "flags.txt").read_bytes() == before


@pytest.mark.slow
def test_a_metric_learner_is_trained_without_an_inner_loop(tmp_path):
    noise_folder(tmp_path / "images", classes=20, each=2, size=16)
    workdir = tmp_path / "run"
    flags = [
        *("--task=images", f"--data_dir={tmp_path / 'images'}", "--algorithm=protonet"),
        *("--ways=2", "--train_ways=3", "--queries=1", "--image_size=16", "--filters=4"),
        *("--meta_batch_size=2", "--eval_tasks=5", f"--workdir={workdir}"),
    ]
    code, out, err = run(*flags, "--iterations=2")
    assert code == 0, err
    results = json.loads((workdir / "results.json").read_text())
    assert results["steps"] == [0]
    assert results["settings"] == {"ways": 3, "distance": "euclidean", "scale": 0.05}
    assert f"accuracy in % {100 * results['mean'][0]:.2f} ± " in " ".join(out.split())
    assert not (workdir / "inner_steps.png").exists()
    for name in ("task.png", "learner.keras", "saved_model/saved_model.pb"):
        assert (workdir / name).stat().st_size > 0, name
    # Its cosine schedule ends with the second step, and cannot go on to a third.
    assert_one_line(run(*flags, "--iterations=3"), "--iterations", "'2'", "=3")


WRONG = [
    (["--task=omniglot", "--ways=1"], ["ways", "1"]),
    (["--task=nonsense"], ["--task", "nonsense", "sinusoid"]),
    (["--shots=0"], ["shots", "0"]),
    (["--iterations=many"], ["iterations", "many"]),
    (["--meta_lr=-1"], ["--meta_lr", "-1"]),
    (["--clip_norm=0"], ["--clip_norm", "0"]),
    (["--inner_lr=0"], ["inner_lr", "0"]),
    (["--eval_steps=-2"], ["eval_steps", "-2"]),
    (["--inner_steps=1000000000"], ["--inner_steps", "at most 1000000", "1000000000"]),
    (["--shots=1000000000000"], ["memory", "GB", "--shots"]),
    (["--task=hidden_teacher", "--inputs=0"], ["--inputs", "at least 1"]),
    (["--task=images", "--scale_pixels=2"], ["--scale_pixels=2", "true or false"]),
    (["--normalization=layer"], ["--normalization=layer", "true or false"]),
    (["--task=table", "--kind=what"], ["--kind=what", "regression"]),
    (["--task=table", "--support=what"], ["--support=what", "first"]),
    (["--eval_steps=1000000000"], ["--eval_steps must be at most", "1000000000", "GB"]),
    (["--preset=sinusoid"], ["--preset", "sinusoid_10shot"]),
    (["--task=omniglot"], ["--data_dir"]),
    (["--task=omniglot", "--data_dir=/nowhere"], ["/nowhere", "images_background.zip"]),
    (["--task=images", "--data_dir=/nowhere"], ["/nowhere"]),
    (["--model=conv4"], ["conv4", "sinusoid"]),
    (["--adapt=nothing"], ["nothing", "head"]),
    (["--algorithm=reptile", "--first_order"], ["--first_order", "reptile"]),
    (["--algorithm=fomaml", "--first_order"], ["--first_order", "fomaml"]),
    (["--scale=2"], ["--scale=2.0", "maml"]),
    (["--cg_steps=3"], ["--cg_steps=3", "maml"]),
    (["--algorithm=imaml", "--multi_step_loss=9"], ["--multi_step_loss=9", "imaml"]),
    (["--algorithm=meta_curvature", "--regularization=1"], ["--regularization", "curvature"]),
    (["--algorithm=mamlpp", "--per_step_statistics"], ["per_step_statistics", "running"]),
    (["--algorithm=r2d2"], ["--algorithm=r2d2", "classes", "--task=sinusoid", "omniglot"]),
    # The task and the algorithm choose a preset that fits both; what is refused was given.
    (["--task=omniglot", "--algorithm=protonet", "--inner_steps=3"], ["--inner_steps=3"]),
    # Words without dashes; settings of another task or model.
    (["iterations=3"], ["'iterations=3'", "--iterations=3"]),
    (["--ways=9"], ["--ways=9", "--task=sinusoid"]),
    (["--filters=8"], ["--filters=8", "--model=mlp"]),
    (["--noper_step_norm"], ["--per_step_norm", "maml"]),
    (["--device=gpu"], ["--device=gpu"]),
    (["--no_such_flag"], ["no_such_flag"]),
    (["--profile", "--iterations=3"], ["--profile", "3 steps"]),
    (["--hidden=40,x"], ["--hidden", "x"]),
    (["--flagfile=/nowhere/flags.txt"], ["/nowhere/flags.txt"]),
    (["--algorithm=anil", "--adapt=head"], ["--adapt=head", "anil"]),
    (["--algorithm=boil", "--adapt=head"], ["--adapt=head", "boil"]),
    (["--batch_norm=support"], ["--batch_norm=support", "--model=mlp"]),
    # MAML's preset is not for an inner loop of another kind.
    (["--task=hidden_teacher", "--algorithm=reptile"], ["reptile", "--inner_lr", "--inner_steps"]),
    (["--preset=sinusoid_5shot", "--algorithm=imaml", "--inner_lr=1"], ["imaml", "--inner_steps:"]),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    run_folder = tmp_path_factory.mktemp("runs") / "run"
    words = [["train", *flags, f"--workdir={run_folder}"] for flags, _ in WRONG]
    taken = run_folder.with_name("taken")
    (taken / "saved_model" / "notes").mkdir(parents=True)
    found = one_after_another([*words, ["train", "--iterations=1", f"--workdir={taken}"]])
    assert not run_folder.exists()
    assert not (taken / "checkpoints").exists()
    return found


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(f) for f, _ in WRONG])
def test_a_wrong_flag_is_answered_in_one_line(answers, number):
    assert_one_line(answers[number], "meta-tf train: error:", *WRONG[number][1])


def test_a_run_does_not_begin_where_it_could_not_export(answers):
    wanted = "saved_model in --workdir must be a new folder", "taken"
    assert_one_line(answers[-1], "meta-tf train: error:", *wanted)


def assert_one_line(result, *words):
    code, out, err = result
    told = err.splitlines()
    assert code == 1
    assert "Traceback" not in out + err
    assert len(told) == 1, err
    for word in words:
        assert word in told[0]
