"""A run that diverges, that is stopped, that is on a disk which is read-only or full."""

import errno
import json
import os
import re
import shutil
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.command import main as command
from meta_tf.data_checks.finite import DivergedStepError
from meta_tf.evaluation.metrics_csv import read_metrics
from meta_tf.run.log import DivergedError, RunLog
from tests.command_line import one_after_another, start
from tests.marks import exhaustive, slow

TINY = ["--iterations=4", "--checkpoint_every=2", "--hidden=2", "--eval_tasks=2", "--eval_steps=1"]
TINY += ["--meta_batch_size=2", "--shots=1", "--steps_per_execution=1"]


@pytest.fixture
def learner():
    made = meta_tf.MetaLearner(meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), loss="mse")
    made.compile("adam", jit_compile=False)
    return made


@pytest.fixture
def in_process(monkeypatch):
    """Lets the command run in the process of the tests, which has set up its devices."""
    monkeypatch.setattr("meta_tf.command.train.set_up_device", lambda device, **threads: None)


def fit(learner, log, epochs=2, per_call=1):
    learner.steps_per_execution = per_call
    tasks = meta_tf.tasks.Sinusoid(shots=2)
    learner.fit(
        tasks.train.batches(2),
        steps_per_epoch=6,
        epochs=epochs,
        validation_data=tasks.valid.batches(2),
        validation_steps=4,
        callbacks=[log],
        verbose=0,
    )


@pytest.mark.parametrize("per_call", [slow(1), 3])
def test_the_validation_takes_the_tasks_it_is_told_whatever_the_steps_of_a_call(
    tmp_path, learner, per_call
):
    fit(learner, RunLog(tmp_path), per_call=per_call)
    assert int(learner.optimizer.iterations) == 12
    tasks = meta_tf.tasks.Sinusoid(shots=2)
    learner.steps_per_execution = 1
    learner.make_test_function(force=True)
    expected = learner.evaluate(tasks.valid.batches(2), steps=4, verbose=0, return_dict=True)
    assert read_metrics(tmp_path)[-1]["val_loss"] == expected["loss"]


def test_weights_that_are_not_finite_end_the_run_and_leave_its_checkpoint(tmp_path, learner):
    fit(learner, RunLog(tmp_path), epochs=1)
    learner.weights[0].assign(np.full(learner.weights[0].shape, np.nan))
    with pytest.raises(DivergedStepError, match="must start a step from finite weights") as caught:
        fit(learner, RunLog(tmp_path, 6))
    assert caught.value.what == "a weight"
    assert os.listdir(tmp_path / "checkpoints") == ["00000006.keras"]


def test_a_validation_of_nan_counts(tmp_path, learner):
    log = RunLog(tmp_path)
    log.set_model(learner)
    log.set_params({"steps": 2})
    log.on_epoch_begin(0)
    with pytest.raises(DivergedError, match="the validation loss became nan"):
        log.on_epoch_end(0, {"loss": 1.0, "val_loss": np.nan})
    assert sorted(os.listdir(tmp_path)) == []


@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint_with_other_rates_once(tmp_path):
    run = ["train", *TINY, f"--workdir={tmp_path / 'run'}"]
    other = ["--restart_from=2", "--meta_lr=0.5", "--inner_lr=0.25"]
    answers = one_after_another(
        [
            run,
            [*run, "--meta_lr=0.5"],
            [*run, "--restart_from=3"],
            [*run, *other],
            [*run, *other],
            ["train", f"--flagfile={tmp_path / 'run' / 'flags.txt'}"],
            [*run, "--shots=2", "--restart_from=2"],
            [*run, "--restart"],
        ]
    )
    assert [code for code, _, _ in answers] == [0, 1, 1, 0, 0, 0, 1, 0], answers
    assert "Starting at iteration 0 of 4" in answers[0][1]
    assert "--meta_lr must be '0.001'" in answers[1][2] and "--restart_from" in answers[1][2]
    assert "checkpoint in" in answers[2][2] and ": 2, 4." in answers[2][2]
    assert "Continuing from iteration 2 of 4" in answers[3][1]
    assert "inner_lr=0.25" in answers[3][1]
    assert "Continuing from iteration 4 of 4" in answers[4][1]
    assert "Continuing from iteration 4 of 4" in answers[5][1]
    assert "--shots must be '1'" in answers[6][2]
    assert "Starting at iteration 0 of 4" in answers[7][1]
    assert "Until" not in (tmp_path / "run" / "flags.txt").read_text()


@pytest.mark.parametrize("signum", [exhaustive(signal.SIGTERM), slow(signal.SIGINT)])
def test_a_run_that_is_stopped_in_an_epoch_tells_where_it_is_saved(tmp_path, signum):
    workdir = tmp_path / "run"
    flags = ["--iterations=1000000", "--checkpoint_every=1000000", "--hidden=2"]
    process = start("train", *flags, f"--workdir={workdir}")
    while not (workdir / "flags.txt").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    time.sleep(3)
    process.send_signal(signum)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signum
    assert "Traceback" not in err
    (path,) = (workdir / "checkpoints").iterdir()
    assert re.search(rf"Iteration {int(path.stem)} is saved in {path}\.", err)


def on_a_disk(monkeypatch, folder, number):
    """Lets every file and folder that is made beneath `folder` fail with this error."""
    real = {name: getattr(os, name) for name in ("open", "mkdir", "replace", "rename")}

    def failing(name):
        def call(path, *others, **options):
            reads = name == "open" and not others[0] & (os.O_CREAT | os.O_WRONLY)
            if str(path).startswith(str(folder)) and not reads:
                raise OSError(number, os.strerror(number), str(path))
            return real[name](path, *others, **options)

        return call

    for name in real:
        monkeypatch.setattr(os, name, failing(name))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    ((code, out, err),) = one_after_another([["train", *TINY, f"--workdir={workdir}"]])
    assert code == 0, err
    return workdir, out


@pytest.mark.slow
def test_a_finished_run_on_a_read_only_disk_is_shown(
    finished, tmp_path, in_process, monkeypatch, capsys
):
    workdir, out = tmp_path / "run", finished[1]
    shutil.copytree(finished[0], workdir)
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    on_a_disk(monkeypatch, workdir, errno.EROFS)
    assert command.main(["train", *TINY, f"--workdir={workdir}"]) == 0
    shown = capsys.readouterr().out
    mean = json.loads((workdir / "results.json").read_text())["mean"]
    assert f"{mean[-1]:.4f} ±" in shown and f"{mean[-1]:.4f} ±" in out
    assert "cannot be written to" in shown
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before
    # More iterations cannot be made there.
    assert command.main(["train", *TINY, "--iterations=6", f"--workdir={workdir}"]) == 1
    assert "cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_new_run_is_told_in_one_line(
    tmp_path, in_process, monkeypatch, capsys, number
):
    on_a_disk(monkeypatch, tmp_path, number)
    assert command.main(["train", *TINY, f"--workdir={tmp_path / 'run'}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "run") in line and os.strerror(number) in line


def test_an_unforeseen_error_is_logged_in_the_runs_folder_or_nowhere(
    tmp_path, in_process, monkeypatch, capsys
):
    def fail(*_):
        raise LookupError("why")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meta_tf.command.train.build.build_tasks", fail)
    (tmp_path / "run").mkdir()
    assert command.main(["train", *TINY, "--workdir=run"]) == 1
    assert "why" in (tmp_path / "run" / "train_error.log").read_text()
    assert command.main(["train", *TINY, "--workdir=another"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "run/train_error.log" in lines[0] and "log" not in lines[1]
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7 TiB"),
        tf.errors.ResourceExhaustedError(
            None, None, "{{function_node f}} Unable to allocate 7 TiB on /job:localhost/replica:0"
        ),
    ],
)
def test_too_little_memory_is_told_in_a_line_with_what_to_lower(
    tmp_path, in_process, monkeypatch, capsys, error
):
    def fail(*_):
        raise error

    monkeypatch.setattr("meta_tf.command.build.build_tasks", fail)
    assert command.main(["train", *TINY, f"--workdir={tmp_path / 'run'}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: out of memory: Unable to allocate 7 TiB. Lower --meta_batch_size or" in line


def test_the_learner_with_the_lowest_validation_loss_is_taken(
    in_process, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    # An outer step size at which the loss rises after the first epoch.
    words = ["train", *TINY, "--iterations=10", "--meta_lr=0.5", f"--workdir={run}"]
    assert command.main([*words, "--restore_best"]) == 0
    rows = read_metrics(run)
    best = min(rows, key=lambda row: row["val_loss"])["iteration"]
    assert best < 6  # older than the two checkpoints that are kept anyway
    assert "validation loss was lowest at iteration" in capsys.readouterr().out
    results = json.loads((run / "results.json").read_text())
    assert results["iterations"] == best
    files = sorted(path.name for path in (run / "checkpoints").glob("*.keras"))
    assert files == [f"{best:08.0f}.keras", "00000008.keras", "00000010.keras"]
    taken, kept = (
        keras.models.load_model(path, compile=False)
        for path in (run / "learner.keras", run / "checkpoints" / files[0])
    )
    for one, other in zip(taken.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    loaded, load = [], keras.models.load_model
    monkeypatch.setattr("keras.models.load_model", lambda path: loaded.append(path) or load(path))
    assert command.main(words) == 0  # the same run without the flag: the last learner
    assert loaded == [run / "checkpoints" / files[-1]]  # once: it can be large
    assert json.loads((run / "results.json").read_text())["iterations"] == 10
