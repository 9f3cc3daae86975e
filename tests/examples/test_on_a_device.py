"""The example of a device, where neither TensorFlow nor this library can be imported."""

import importlib.util
import os
import re
import runpy
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import meta_tf

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "on_a_device.py"
ALONE = """
import runpy, sys
for name in ("tensorflow", "keras", "meta_tf"):
    sys.modules[name] = None  # importing it is an error
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Nearest:
    """An interpreter of LiteRT with a learner that answers the nearest drawing."""

    def __init__(self, model_path):
        pass

    def get_signature_runner(self, name):
        return getattr(self, name)()

    def adapt(self):
        return Runner("support_x", lambda support_x, support_y: {"w": support_x})

    def predict(self):
        apart = lambda x, w: np.square(x[:, np.newaxis] - w).sum((2, 3, 4))  # noqa: E731
        return Runner("query_x", lambda query_x, w: {"predictions": -apart(query_x, w)})


class Runner:
    def __init__(self, takes, call):
        self._takes, self._call = takes, call

    def __call__(self, **inputs):
        return self._call(**inputs)

    def get_input_details(self):
        return {self._takes: {"shape_signature": [-1, 28, 28, 1]}}


@pytest.fixture
def program(tmp_path, monkeypatch, capsys):
    """Runs the example with `Nearest` in place of LiteRT; returns what it prints."""
    module = types.SimpleNamespace(Interpreter=Nearest)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *words])
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_what_was_learned_is_read_only_for_the_same_learner(program, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.tflite").write_text(name)
    first = program("one.tflite")
    again = program("one.tflite")
    assert first.startswith("Learned from five drawings")
    assert again.startswith("Read what was learned from one.learned.npz.\n")
    assert again.split("\n")[1:] == first.split("\n")[1:]
    assert program("two.tflite").startswith("Learned")
    assert program("two.tflite", "--learned=mine").startswith("Learned")
    assert program("two.tflite", "--learned=mine").startswith("Read")
    with pytest.raises(SystemExit):
        program("one.tflite", "--learned=mine")
    assert "mine is of another learner or of other drawings. Delete it" in capsys.readouterr().err
    np.savez(tmp_path / "old.npz", w=np.zeros([2]))
    with pytest.raises(SystemExit):
        program("one.tflite", "--learned=old.npz")


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None, reason="needs the extra [litert]"
)
@pytest.mark.parametrize(
    "learner", ["omniglot_5way_1shot", pytest.param("omniglot", marks=pytest.mark.exhaustive)]
)
def test_it_learns_once_and_goes_on_from_the_file(learner, tmp_path):
    meta_tf.pretrained(learner).export(tmp_path / "learner.tflite", format="litert")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", ALONE, EXAMPLE, "learner.tflite"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert outputs[0].startswith("Learned from five drawings")
    assert outputs[1].startswith("Read what was learned from learner.learned.npz.")
    assert outputs[0].split("\n")[1:] == outputs[1].split("\n")[1:]
    assert (tmp_path / "learner.learned.npz").stat().st_size < 600_000
    for out in outputs:
        pairs = re.findall(r"^(\w+): recognised as (\w+)$", out, re.MULTILINE)
        assert len(pairs) == 10
        # By chance it would be 2 of 10.
        assert sum(shown == guess for shown, guess in pairs) >= 8
