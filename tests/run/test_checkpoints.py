"""Checkpoints: what damage is found, how many are kept, what is never saved."""

import os
import shutil
import time
import zipfile

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.command import build
from meta_tf.command.made_with import made_with
from meta_tf.command.main import read
from meta_tf.command.train import wrong_with
from meta_tf.run import checkpoints
from meta_tf.run.checkpoints import Checkpoint, check_replaceable, clear_way, find_start
from meta_tf.run.log import RunLog, training_minutes
from meta_tf.run.settings import Training


@pytest.fixture
def learner():
    made = meta_tf.MetaLearner(meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), loss="mse")
    made.compile("adam", jit_compile=False)
    return made


def names(folder):
    return sorted(os.listdir(folder / "checkpoints"))


def flags_of(folder, **others):
    return Training(workdir=folder, **others)


@pytest.mark.parametrize(
    ("keep", "left"),
    [(1, ["00000030.keras"]), (2, ["00000020.keras", "00000030.keras"])],
)
def test_the_last_checkpoints_are_kept(tmp_path, learner, keep, left):
    for iteration in (10, 20, 30):
        checkpoints.save_checkpoint(learner, tmp_path, iteration, keep=keep)
    assert names(tmp_path) == left
    assert checkpoints.latest_checkpoint(tmp_path)[1] == 30


def test_every_bit_that_is_turned_is_found_or_does_no_harm(tmp_path, learner):
    path = checkpoints.save_checkpoint(learner, tmp_path, 10)
    whole = path.read_bytes()
    expected = [np.array(v) for v in learner.variables]
    found = 0
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 100):
        turned = bytearray(whole)
        turned[place // 8] ^= 1 << (place % 8)
        path.write_bytes(turned)
        if checkpoints.damage(Checkpoint(path, 10)):
            found += 1
            continue
        for value, variable in zip(expected, keras.models.load_model(path).variables, strict=True):
            np.testing.assert_array_equal(variable, value)
    assert found > 90


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_the_one_before_takes_the_place_of_a_damaged_checkpoint(tmp_path, learner, name, capsys):
    for iteration in (10, 20):
        path = checkpoints.save_checkpoint(learner, tmp_path, iteration)
    (tmp_path / "metrics.csv").write_text("iteration,loss\n10,1.0\n20,0.5\n")
    DAMAGES[name](path)
    flags = flags_of(tmp_path)
    start = find_start(flags)
    assert start.iteration == 10
    (line,) = capsys.readouterr().out.splitlines()
    assert (str(path) if name != "missing" else "contains 20 iterations") in line
    clear_way(flags, start)
    aside = [] if name == "missing" else ["00000020.keras.damaged"]
    assert names(tmp_path) == ["00000010.keras", *aside]


def leave_results(folder):
    """Files in the places of what a finished run leaves."""
    for name in ("learner.keras", "results.json", "saved_model/saved_model.pb"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


def test_without_a_usable_checkpoint_nothing_is_overwritten_unless_asked_for(tmp_path, learner):
    for iteration in (10, 20):
        path = checkpoints.save_checkpoint(learner, tmp_path, iteration)
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"00000020.keras: it is empty; .*00000010.*--restart"):
        find_start(flags_of(tmp_path))
    assert names(tmp_path) == ["00000010.keras", "00000020.keras"]
    flags = flags_of(tmp_path, restart=True)
    assert find_start(flags) is None
    leave_results(tmp_path)
    clear_way(flags, None)
    assert os.listdir(tmp_path) == []


def test_a_csv_whose_checkpoints_are_gone_is_not_overwritten(tmp_path):
    (tmp_path / "metrics.csv").write_text("iteration,loss\n10,1.0\n")
    with pytest.raises(ValueError, match=r"is empty, but metrics.csv has 10 iterations"):
        find_start(flags_of(tmp_path))


def test_a_run_is_restarted_from_an_earlier_checkpoint(tmp_path, learner):
    for iteration in (10, 20):
        checkpoints.save_checkpoint(learner, tmp_path, iteration)
    flags = flags_of(tmp_path, restart_from=10)
    start = find_start(flags)
    leave_results(tmp_path)
    clear_way(flags, start)
    assert names(tmp_path) == ["00000010.keras"]
    assert os.listdir(tmp_path) == ["checkpoints"]  # no learner of another run than this one
    with pytest.raises(ValueError, match=r"--restart_from must be .*: 10. Received: .*=20"):
        find_start(flags_of(tmp_path, restart_from=20))


def test_a_copy_under_another_number_is_not_gone_on_from(tmp_path, learner, capsys):
    first, second = (checkpoints.save_checkpoint(learner, tmp_path, n) for n in (10, 20))
    shutil.copy(first, second)
    assert find_start(flags_of(tmp_path)) == (first, 10)
    assert f"{second}: it was saved at iteration 10" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"=20, whose file cannot be used: it was saved at .* 10"):
        find_start(flags_of(tmp_path, restart_from=20))


def made(folder, *words):
    """What a run in a folder is made with."""
    settings = read("train", [f"--workdir={folder}", *words])
    return made_with(settings, build.build_algorithm(settings))


def start_of(folder, *words):
    """The checkpoint from which a run continues."""
    run = made(folder, *words)
    load = keras.models.load_model
    return find_start(flags_of(folder), lambda checkpoint: wrong_with(checkpoint, run, load))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--seed=1"], "--seed=0, and not 1"),
        (["--hidden=3"], "--hidden=2, and not 3"),
        (["--set=task.x_range=(0,1)"], "--set="),
        (["--meta_lr=0.5", "--iterations=7", "--checkpoint_every=3"], ""),
    ],
)
def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path, learner, words, named, capsys):
    settings = made(tmp_path, "--hidden=2").texts()
    for iteration in (10, 20):
        path = checkpoints.save_checkpoint(learner, tmp_path, iteration, settings=settings)
    if not named:
        assert start_of(tmp_path, "--hidden=2", *words) == (path, 20)
        return
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be used") as caught:
        start_of(tmp_path, "--hidden=2", *words)
    assert f"{path}: it is of another run, with {named}" in str(caught.value)
    assert names(tmp_path) == ["00000010.keras", "00000020.keras"]


def test_the_one_before_takes_the_place_of_one_that_keras_cannot_load(tmp_path, learner, capsys):
    first, second = (checkpoints.save_checkpoint(learner, tmp_path, n) for n in (10, 20))
    with zipfile.ZipFile(second) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"Dense"', b'"Dence"')
    with zipfile.ZipFile(second, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert checkpoints.damage(Checkpoint(second, 20)) == ""  # every checksum is right
    assert start_of(tmp_path, "--hidden=2") == (first, 10)
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{second}: Keras cannot load it: Could not deserialize 'keras.layers.Dence'" in line


@pytest.mark.parametrize("content", [b"iteration,loss\n10", b"\xff\x00", b"iteration\nmany\n"])
def test_a_damaged_csv_is_set_aside(tmp_path, learner, content, capsys):
    path = checkpoints.save_checkpoint(learner, tmp_path, 10, epoch={"row": {"iteration": 10}})
    (tmp_path / "metrics.csv").write_bytes(content)
    flags = flags_of(tmp_path)
    start = find_start(flags)
    assert start == (path, 10)
    clear_way(flags, start)
    assert "metrics.csv is damaged; it is kept as metrics.csv.damaged" in capsys.readouterr().out
    assert (tmp_path / "metrics.csv.damaged").read_bytes() == content
    RunLog(tmp_path, 10, epoch=checkpoints.epoch_of(path))
    assert (tmp_path / "metrics.csv").read_text() == "iteration\n10\n"
    assert training_minutes(tmp_path) is None  # some of it is not known any more


def test_a_learner_is_replaced_only_if_a_run_has_made_it(tmp_path, learner):
    path = tmp_path / "learner.keras"
    check_replaceable(tmp_path)
    checkpoints.save_learner(learner, path, 10, {})
    check_replaceable(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    keras.models.load_model(path).save(path)  # by hand, after a training of one's own, say
    os.utime(path, ns=(time.time_ns(), (tmp_path / "results.json").stat().st_mtime_ns + 1))
    with pytest.raises(ValueError, match=r"would replace .*learner.keras .*--workdir"):
        check_replaceable(tmp_path)
    os.utime(tmp_path / "results.json")  # as a run of an earlier version left them
    os.utime(path, ns=(0, 0))
    check_replaceable(tmp_path)
    (tmp_path / "results.json").unlink()
    with pytest.raises(ValueError, match="no run has written"):
        check_replaceable(tmp_path)


def test_an_earlier_file_without_anything_more_in_it_is_gone_on_with(tmp_path, learner):
    path = tmp_path / "checkpoints" / "00000010.keras"
    path.parent.mkdir()
    learner.save(path)
    assert find_start(flags_of(tmp_path)) == (path, 10)
    assert checkpoints.epoch_of(path) == checkpoints.run_of(path) == {}
    assert start_of(tmp_path) == (path, 10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["weights", "optimiser"])
def test_what_is_not_finite_is_never_saved(tmp_path, learner, value, where):
    checkpoints.save_checkpoint(learner, tmp_path, 10)
    variables = learner.weights if where == "weights" else learner.optimizer.variables
    wrong = variables[-1]
    wrong.assign(np.full(wrong.shape, value))
    with pytest.raises(checkpoints.NotFiniteError, match="nan or infinite"):
        checkpoints.save_checkpoint(learner, tmp_path, 20)
    assert names(tmp_path) == ["00000010.keras"]
