"""One run at a time in a folder, whoever died in it."""

import os
import signal
import subprocess
import sys

import pytest

from meta_tf.run.lock import LOCK, claimed
from tests.command_line import ROOT

HOLD = """
import sys
from meta_tf.run.lock import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_told_of_the_first_and_may_follow_once_that_is_dead(tmp_path, other):
    with pytest.raises(ValueError, match=f"in use by a run .* process {other.pid} on "):
        claimed(tmp_path).__enter__()
    other.send_signal(signal.SIGKILL)
    other.wait()
    with claimed(tmp_path) as writable:
        assert writable
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()


def test_what_a_killed_run_left_half_written_is_swept_up_and_nothing_else(tmp_path):
    left = f".{'0a' * 16}-saved_model"
    for name in (left, ".saved_model.old", "saved_model"):
        (tmp_path / name / "inside").mkdir(parents=True)
    (tmp_path / "checkpoints").mkdir()
    for name in (f".{'1b' * 16}-00000010.keras", "00000010.keras", ".notes"):
        (tmp_path / "checkpoints" / name).write_text("")
    with claimed(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [LOCK, "checkpoints", "saved_model"]
        assert sorted(os.listdir(tmp_path / "checkpoints")) == [".notes", "00000010.keras"]


def test_a_folder_that_stays_empty_is_not_left(tmp_path):
    with pytest.raises(RuntimeError), claimed(tmp_path / "new"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file_is_told(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ValueError, match=r"--workdir must be a folder.*file"):
        claimed(path).__enter__()


def test_a_folder_on_a_disk_that_is_read_only_can_be_looked_at(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("meta_tf.run.lock.os.open", refuse)
    with claimed(tmp_path) as writable:
        assert not writable


def test_where_there_are_no_locks_the_run_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("meta_tf.run.lock.fcntl", None)
    with claimed(tmp_path) as writable:
        assert writable
    assert "cannot be locked on this system" in capsys.readouterr().out


def test_the_lock_is_given_back_where_the_folder_cannot_be_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("meta_tf.run.lock.Path.unlink", refuse)
        with pytest.raises(OSError, match="No space left"), claimed(tmp_path / "new"):
            pass
    with claimed(tmp_path / "new") as writable:
        assert writable


@pytest.mark.parametrize("there", [True, False])
def test_a_lock_that_is_a_link_is_refused_and_its_target_stays_as_it_is(tmp_path, there):
    target = tmp_path / "target"
    if there:
        target.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(target)
    with pytest.raises(ValueError, match=rf"must be a file.*a link to {target}"):
        claimed(tmp_path / "run").__enter__()
    assert target.exists() == there
    assert not there or target.read_text() == "mine"
