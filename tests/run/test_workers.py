"""`meta-tf train` by two workers on this machine: lost, stopped, and gone on with by any number."""

import io
import os
import signal
import time
import zipfile

import h5py
import numpy as np
import pytest

from tests.command_line import run
from tests.replicas import end, start_workers

# Seven tasks, which two workers cannot share equally; dropout and batch norm.
FLAGS = ["--model=benchmarks.interruptions:noisy", "--meta_batch_size=7", "--shots=2"]
# In float64, as float32 rounds otherwise with another number of workers.
FLAGS += ["--set", "dtype=float64"]
FLAGS += ["--checkpoint_every=5", "--eval_tasks=2", "--eval_steps=1", "--steps_per_execution=1"]
ENDLESS = "--iterations=1000000"


@pytest.fixture
def together():
    """Starts workers, which do not outlive the test."""
    everyone = []

    def start(workdir, *flags, timeout=60, started=2):
        own = ["--strategy=multi_worker", f"--worker_timeout={timeout}", f"--workdir={workdir}"]
        program = ["-m", "meta_tf.command", "train", *FLAGS, *own, *flags]
        workers = start_workers(program, started=started)
        everyone.extend(workers)
        return workers

    yield start
    end(everyone)


def alone(workdir, iterations):
    code, out, err = run("train", *FLAGS, f"--workdir={workdir}", f"--iterations={iterations}")
    assert code == 0, err
    return out


def last(workdir):
    return max((int(p.stem) for p in (workdir / "checkpoints").glob("[0-9]*.keras")), default=0)


def wait_for(workdir, iteration, workers):
    while last(workdir) < iteration:
        assert all(worker.poll() is None for worker in workers), workers[0].communicate()
        time.sleep(0.05)


def numbers(workdir):
    """What the newest checkpoint holds, by name."""
    found = {}
    path = max((workdir / "checkpoints").glob("[0-9]*.keras"))
    with zipfile.ZipFile(path) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    file.visititems(
        lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else None
    )
    return found


@pytest.mark.exhaustive
def test_a_run_goes_on_with_any_number_of_workers_and_learns_the_same(tmp_path, together):
    workdir = tmp_path / "run"
    alone(workdir, 5)

    workers = together(workdir, ENDLESS)
    wait_for(workdir, 10, workers)
    workers[1].kill()
    out, err = workers[0].communicate(timeout=60)
    assert workers[0].returncode == 1, err
    assert "Continuing from iteration 5" in out
    told = [line for line in err.splitlines() if line.startswith("meta-tf train: error: ")]
    assert len(told) == 1 and "worker 1, localhost:" in told[0] and "checkpoint" in told[0], err
    assert "Traceback" not in err

    workers, before = together(workdir, ENDLESS), last(workdir)
    wait_for(workdir, before + 5, workers)
    workers[1].send_signal(signal.SIGTERM)
    errors = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [143, 143], errors
    done = last(workdir)
    assert f"Iteration {done} is saved in {workdir}" in errors[0]
    assert f"Iteration {done} is saved in the folder of the chief" in errors[1]

    assert f"Continuing from iteration {done}" in alone(workdir, done + 2)
    alone(tmp_path / "whole", done + 2)
    ours, theirs = numbers(workdir), numbers(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-6, err_msg=name)
    # The chief alone has written.
    assert not [name for name in os.listdir(workdir) if name.endswith(".log")]


@pytest.mark.exhaustive
def test_a_worker_may_be_silent_for_as_long_as_the_flag_says(tmp_path, together):
    workers = together(tmp_path / "run", ENDLESS)
    wait_for(tmp_path / "run", 5, workers)
    workers[1].send_signal(signal.SIGSTOP)
    time.sleep(15)  # TensorFlow gives it up after ten
    workers[1].send_signal(signal.SIGCONT)
    wait_for(tmp_path / "run", last(tmp_path / "run") + 10, workers)


@pytest.mark.slow
def test_a_worker_that_does_not_come_is_named(tmp_path, together):
    (worker,) = together(tmp_path / "run", timeout=5, started=1)
    _, err = worker.communicate(timeout=120)
    assert worker.returncode == 1
    line = err.splitlines()[-1]
    assert "error: worker 1, localhost:" in line and "5 s after the start (--worker_time" in line
    assert not (tmp_path / "run").exists()
