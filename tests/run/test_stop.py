"""SIGTERM and SIGINT: at once, after the current step, at once the second time; no traceback."""

import os
import signal
import subprocess
import sys

import pytest

from meta_tf.run.stop import Stopped, StopRequest
from tests.command_line import ROOT

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_training_finishes_its_step_before_it_stops(signum):
    before, stop, made = signal.getsignal(signum), StopRequest(), []
    with pytest.raises(Stopped, match=r"Saved\.") as caught, stop.signals(), stop.finishing():
        os.kill(os.getpid(), signum)
        made.append("the step")
        stop.raise_if_asked(" Saved.")
    assert made == ["the step"]
    assert caught.value.exit_code == 128 + signum
    assert signal.getsignal(signum) is before


def test_a_signal_that_the_block_does_not_look_at_stops_at_its_end():
    stop, made = StopRequest(), []
    with pytest.raises(Stopped, match="SIGTERM"), stop.signals(), stop.finishing():
        os.kill(os.getpid(), signal.SIGTERM)
        made.append("the last step")
    assert made == ["the last step"]


def test_who_waits_for_a_signal_goes_on_after_it(monkeypatch):
    stop = StopRequest()
    wait = stop._asked.wait
    monkeypatch.setattr(stop._asked, "wait", lambda: (os.kill(os.getpid(), signal.SIGINT), wait()))
    with stop.signals():
        for _ in range(2):
            stop.wait()
    assert stop.signal is None


HEAD = """
import contextlib, ctypes, gc, sys, time
sys.argv[0] = "meta-tf"  # which does not import TensorFlow at once
from meta_tf.files import whole_file
from meta_tf.run.stop import StopRequest

def swallow(phase, info):  # an exception that a handler raises in here would be lost
    time.sleep(0.001)

def ready():
    print("ready", flush=True)

stop = StopRequest("meta-tf train", " Again.", patience=0.2)
"""
PLACES = {
    "python": """
        ready()
        while True:
            pass
    """,
    "a long call": """
        ready()
        while True:
            ctypes.CDLL(None).sleep(60)  # as one into TensorFlow: no Python runs in this thread
    """,
    "collections": """
        gc.callbacks.append(swallow)
        ready()
        while True:
            gc.collect()
    """,
    "errors that are caught": """
        ready()
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(0.01)
    """,
    "a file": """
        with whole_file("file") as part:
            part.write_text("half")
            ready()
            time.sleep(60)
    """,
    "a step without an end": """
        with stop.finishing():
            ready()
            while True:
                ctypes.CDLL(None).sleep(60)
    """,
}


def ended(program, folder, *signals):
    """The exit code and the errors of a program that is sent signals once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told = ""
    assert process.stdout.readline() == "ready\n"
    for signum in signals:
        process.send_signal(signum)
        if len(signals) > 1 and signum == signals[0]:
            told = process.stderr.readline()
    err = told + process.communicate(timeout=60)[1]
    return process.returncode, err.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
@pytest.mark.parametrize("name", PLACES)
def test_a_signal_ends_the_process_in_a_line_wherever_it_is(name, tmp_path):
    program = HEAD + "with stop.signals():\n" + PLACES[name]
    code, lines = ended(program, tmp_path, signal.SIGINT)
    assert code == 130
    step = " The current step had not ended." * ("step" in name)
    assert lines[-1] == f"meta-tf train: stopped by SIGINT.{step} Again."
    assert len(lines) == 1 + bool(step)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
def test_a_second_signal_ends_even_a_long_call_at_once(tmp_path):
    program = HEAD.replace("0.2", "60") + "with stop.signals():\n" + PLACES["a step without an end"]
    code, lines = ended(program, tmp_path, signal.SIGTERM, signal.SIGINT)
    assert code == 130
    assert len(lines) == 1 and lines[0].startswith("SIGTERM: stopping after the current step")


def test_a_signal_after_the_end_does_not_change_the_exit_code():
    # As from a scheduler, while TensorFlow's threads end.
    program = """
import os, signal, sys
sys.argv = ["meta-tf", "--version"]
from meta_tf.command.main import main
code = main()
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
