"""Checkpoints: what damage is found, how many are kept, what is never saved."""

import os

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.run.settings import Training
from meta_tf.runs import checkpoints
from meta_tf.runs.start import clear_way, find_start


@pytest.fixture
def learner():
    made = meta_tf.MetaLearner(meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), loss="mse")
    made.compile("adam")
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
        if checkpoints.damage(path):
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
    start = find_start(flags, restarts=False)
    assert start.iteration == 10
    (line,) = capsys.readouterr().out.splitlines()
    assert (str(path) if name != "missing" else "tells of 20 iterations") in line
    clear_way(flags, start, restarts=False)
    aside = [] if name == "missing" else ["00000020.keras.damaged"]
    assert names(tmp_path) == ["00000010.keras", *aside]


def test_without_a_usable_checkpoint_nothing_is_overwritten_unless_asked_for(tmp_path, learner):
    for iteration in (10, 20):
        path = checkpoints.save_checkpoint(learner, tmp_path, iteration)
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"00000020.keras: it is empty; .*00000010.*--restart"):
        find_start(flags_of(tmp_path), restarts=False)
    assert names(tmp_path) == ["00000010.keras", "00000020.keras"]
    flags = flags_of(tmp_path, restart=True)
    assert find_start(flags, restarts=False) is None
    clear_way(flags, None, restarts=False)
    assert os.listdir(tmp_path) == []


def test_a_csv_whose_checkpoints_are_gone_is_not_overwritten(tmp_path):
    (tmp_path / "metrics.csv").write_text("iteration,loss\n10,1.0\n")
    with pytest.raises(ValueError, match=r"holds none, but metrics.csv tells of 10 iterations"):
        find_start(flags_of(tmp_path), restarts=False)


def test_a_run_is_restarted_from_an_earlier_checkpoint(tmp_path, learner):
    for iteration in (10, 20):
        checkpoints.save_checkpoint(learner, tmp_path, iteration)
    flags = flags_of(tmp_path, restart_from=10)
    start = find_start(flags, restarts=True)
    clear_way(flags, start, restarts=True)
    assert names(tmp_path) == ["00000010.keras"]
    with pytest.raises(ValueError, match=r"--restart_from must be .*: 10. Received: .*=20"):
        find_start(flags_of(tmp_path, restart_from=20), restarts=True)


def test_an_earlier_file_without_anything_more_in_it_is_gone_on_with(tmp_path, learner):
    path = tmp_path / "checkpoints" / "00000010.keras"
    path.parent.mkdir()
    learner.save(path)
    assert find_start(flags_of(tmp_path), restarts=False) == (path, 10)
    assert checkpoints.epoch_of(path) == {}


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
