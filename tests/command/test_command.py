"""The command itself: its help, what reaches the screen, and how it ends."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meta_tf import __version__
from meta_tf.command import define, quiet, registry, train
from meta_tf.command.main import COMMANDS, help_of, main
from meta_tf.command.read_flags import about_preset, presets
from tests.command_line import ROOT, run, start

HELPS = """
import sys
sys.argv[0] = "meta-tf"
from meta_tf.command.main import COMMANDS, main
for words in ([], ["--version"]):
    assert main(words) == 0
assert main(["trian"]) == 1
heavy = {"tensorflow", "keras", "numpy"} & set(sys.modules)
assert not heavy, heavy
import meta_tf
meta_tf.MAML  # imports what it needs
assert "tensorflow" in sys.modules
for name in COMMANDS:
    assert main([name, "--help"]) == 0
"""


@pytest.fixture(scope="module")
def helps():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", HELPS], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_help_of_all_commands_needs_no_tensorflow(helps):
    assert f"meta-tf {__version__}\n" in helps
    for name, about in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(about)}$", helps, re.MULTILINE)
        assert f"usage: meta-tf {name} " in helps


def test_the_help_is_grouped_and_lists_every_flag_and_preset(helps):
    told = helps[helps.index("usage: meta-tf train") : helps.index("usage: meta-tf evaluate")]
    assert told.strip() == help_of("train").strip()
    for title in train.GROUPS:
        assert f"\n{title}:\n" in told
    for flag in define.flags_of(train.GROUPS):
        assert f"--{flag}:" in told or f"--[no]{flag}:" in told
    for what in registry.BUILT_IN:
        for name in registry.BUILT_IN[what]:
            assert name in told
    for name in presets():
        assert f"  {name}\n      {about_preset(name)}" in told


def test_python_m_is_the_command_and_an_unknown_word_is_answered_in_one_line():
    code, out, err = run("trian")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "meta-tf: error: the first word must be one of train, evaluate, adapt, predict, export, "
        "demo. Received: 'trian'."
    ]
    assert run("--version") == (0, f"meta-tf {__version__}\n", "")


def test_help_into_a_pipe_that_is_closed_leaves_no_traceback(monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["train", "--help"]) == 1
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc for what is loaded")
def test_ctrl_c_during_the_imports_leaves_no_traceback(tmp_path):
    process = start("train", f"--workdir={tmp_path / 'run'}")
    maps = Path(f"/proc/{process.pid}/maps")
    while "libtensorflow" not in maps.read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_what_c_writes_is_hidden_unless_the_block_raises(capfd):
    with quiet.hidden_stderr():
        os.write(2, b"noise\n")
    os.write(2, b"seen\n")
    with pytest.raises(ImportError), quiet.hidden_stderr():
        os.write(2, b"why it failed\n")
        raise ImportError
    assert capfd.readouterr().err == "seen\nwhy it failed\n"


def test_packages_that_no_command_needs_can_be_kept_out():
    sys.modules.pop("this", None)  # stands for one that was not imported before
    with quiet.without("this", "json"):
        importlib.import_module("json")
        with pytest.raises(ImportError):
            importlib.import_module("this")
    assert "this" not in sys.modules and importlib.util.find_spec("this")


@pytest.mark.slow
def test_importing_the_package_offers_its_classes_to_keras():
    program = "import meta_tf, keras; print(keras.saving.get_registered_object('meta_tf>MAML'))"
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "MAML" in out
