"""The example of a device, where neither TensorFlow nor this library can be imported."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

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
    assert ["Learned from five drawings" in out for out in outputs] == [True, False]
    assert (tmp_path / "learned.npz").stat().st_size < 600_000
    for out in outputs:
        pairs = re.findall(r"^a (\w+) is taken for a (\w+)$", out, re.MULTILINE)
        assert len(pairs) == 10
        # By chance it would be 2 of 10.
        assert sum(shown == guess for shown, guess in pairs) >= 8
