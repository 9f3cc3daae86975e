"""The example algorithm from the command line: trained, killed, resumed, measured, exported."""

import json
import signal
import time
import zipfile

import h5py
import numpy as np
import pytest

from tests.command_line import run, start

FLAGS = [
    "train",
    "--algorithm=examples.cavia:CAVIA",
    "--model=examples.cavia:context_mlp",
    "--inner_lr=1.0",
    "--eval_steps=5",
    "--iterations=600",
    "--checkpoint_every=200",
    "--steps_per_execution=50",
    "--eval_tasks=20",
]


def _weights(workdir):
    path = workdir / "learner.keras"
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        found = {}
        h5py.File(file).visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


@pytest.mark.slow
def test_it_goes_on_after_a_kill_and_is_evaluated_and_exported(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, _, err = run(*FLAGS, f"--workdir={whole}")
    assert code == 0, err
    process = start(*FLAGS, f"--workdir={killed}")
    while not list(killed.glob("checkpoints/0*.keras")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    code, out, err = run(*FLAGS, f"--workdir={killed}")
    assert code == 0, err
    assert "Continuing from iteration" in out
    ours, theirs = _weights(killed), _weights(whole)
    assert ours.keys() == theirs.keys() and len(ours) > 5
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)

    results = json.loads((whole / "results.json").read_text())
    assert results["steps"] == [0, 1, 2, 3, 4, 5]
    assert results["mean"][1] < results["mean"][0]
    code, out, err = run(
        "evaluate",
        f"--learner={whole}",
        "--import=examples.cavia",
        "--eval_tasks=20",
        "--eval_steps=1",
    )
    assert code == 0, err
    assert f"{results['mean'][1]:.4f} ±" in out
    output = f"--output={tmp_path / 'saved_model'}"
    code, out, err = run("export", f"--learner={whole}", "--import=examples.cavia", output)
    assert code == 0, err
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
