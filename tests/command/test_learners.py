"""A `.keras` file is data: whatever it says, reading it runs nothing."""

import json
import zipfile

import pytest

import meta_tf
from meta_tf.command import learners


def part(module, class_name, config, registered=None):
    """An object as Keras writes it."""
    names = {"module": module, "class_name": class_name, "registered_name": registered}
    return {**names, "config": config}


HARM = {
    "a class": part("subprocess", "Popen", {"args": ["touch", "ran"]}),
    "a function": part("os", "function", "system", "function"),
    "a module": part("harm", "Anything", {}),
    "a lambda": part("builtins", "__lambda__", {"value": "harm"}),
}


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of a learner's file."""
    path = tmp_path_factory.mktemp("learner") / "learner.keras"
    meta_tf.MetaLearner(meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), loss="mse").save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("place", ["the loss", "the learner"])
@pytest.mark.parametrize("name", HARM)
def test_a_file_that_names_code_is_refused_and_runs_none(
    name, place, members, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "harm.py").write_text("open('ran', 'w').close()")
    config = json.loads(members["config.json"])
    config["config"]["loss"] = HARM[name]
    config = config if place == "the loss" else HARM[name]
    with zipfile.ZipFile("theirs.keras", "w") as archive:
        for member, content in {**members, "config.json": json.dumps(config)}.items():
            archive.writestr(member, content)
    with pytest.raises(ValueError, match=r"--learner=theirs.keras cannot be loaded: "):
        learners.load("theirs.keras", "learner")
    assert not (tmp_path / "ran").exists()
