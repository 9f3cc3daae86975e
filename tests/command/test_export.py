"""`meta-tf export` to devices: one command each, and nothing on the screen but one line."""

import importlib.util

import pytest

from meta_tf import zoo
from tests.command_line import one_after_another

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(p) for p in ("ai_edge_litert", "onnxruntime", "tf2onnx")),
    reason="needs the extras [litert] and [onnx]",
)


# Commands of the pages export one among the slow tests: tests/docs/test_pages.py.
@pytest.mark.exhaustive
@pytest.mark.parametrize("learner", zoo.characters())
def test_each_shipped_learner_is_exported_in_one_command(learner, tmp_path):
    outputs = {"litert": "learner.tflite", "onnx": "onnx", "tf_saved_model": "saved_model"}
    calls = [
        ["export", f"--learner={learner}", f"--format={format}", f"--output={output}"]
        for format, output in outputs.items()
    ]
    answers = one_after_another(calls, cwd=tmp_path)
    for (code, out, err), output in zip(answers, outputs.values(), strict=True):
        assert (code, err) == (0, "")
        assert out.startswith(f"Saved to {output}")
        assert (tmp_path / output).exists()


@pytest.mark.slow
def test_what_is_wrong_is_told_in_one_line(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    shipped = ["export", "--learner=omniglot_5way_1shot"]
    calls = {
        ".tflite": [*shipped, "--format=litert", "--output=learner"],
        "contains other files": [*shipped, "--format=onnx", "--output=full"],
        "at most 5": [*shipped, "--format=litert", "--output=a.tflite", "--ways=6"],
        "any size": [*shipped, "--output=a", "--shots=5"],
        "omniglot_5way_1shot": ["export", "--learner=omniglot_1way", "--output=a"],
        "--shots": [*shipped, "--format=litert", "--output=a.tflite", "--shots=0"],
    }
    for named, (code, out, err) in zip(
        calls, one_after_another(calls.values(), cwd=tmp_path), strict=True
    ):
        assert (code, out) == (1, "")
        assert named in err
        assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "notes.txt"]
