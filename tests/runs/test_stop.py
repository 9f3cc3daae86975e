"""SIGTERM and SIGINT: stop at once, after the step at hand, or with the second one at once."""

import os
import signal
import subprocess
import sys

import pytest

from meta_tf.runs.stop import Stopped, StopRequest
from tests.command_line import ROOT

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_stops_at_once_outside_of_the_training(signum):
    before = signal.getsignal(signum)
    with pytest.raises(Stopped, match=signum.name) as caught, StopRequest().signals():
        os.kill(os.getpid(), signum)
        raise AssertionError("not reached")
    assert caught.value.exit_code == 128 + signum
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_training_finishes_its_step_before_it_stops(signum):
    stop, made = StopRequest(), []
    with pytest.raises(Stopped, match=r"Saved\.") as caught, stop.signals(), stop.finishing():
        os.kill(os.getpid(), signum)
        made.append("the step")
        stop.raise_if_asked(" Saved.")
    assert made == ["the step"]
    assert caught.value.exit_code == 128 + signum


IN_A_LONG_CALL = """
import ctypes, sys
sys.argv[0] = "meta-tf"  # which does not import TensorFlow at once
from meta_tf.runs.stop import StopRequest
stop = StopRequest()
with stop.signals(), stop.finishing():
    print("calling", flush=True)
    while True:
        ctypes.CDLL(None).sleep(60)  # as a call into TensorFlow: no Python runs in this thread
"""


@pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
def test_a_second_signal_ends_even_a_long_call_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_LONG_CALL],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "calling\n"
    process.send_signal(signal.SIGTERM)
    assert "SIGTERM: stopping after the step at hand" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130
