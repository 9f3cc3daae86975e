"""The cards of shipped learners say what the files beside them hold."""

import json
import sys

import pytest

import meta_tf
from meta_tf import zoo


@pytest.mark.parametrize("name", zoo.characters())
def test_a_card_tells_data_numbers_and_licence(name):
    card = zoo.card(name)
    run = json.loads((zoo.FOLDER / f"{name}.json").read_text())
    assert card.startswith(f"### {name}\n")
    assert f"{100 * run['mean'][-1]:.2f} ± {100 * run['ci95'][-1]:.2f} %" in card
    data = "typefaces" if name == "chinese_characters" else "Omniglot"
    for word in (data, "Never seen in training", "MIT", f"batch norm {run['batch_norm']}"):
        assert word in card
    assert f"`{run['command']}`" in card
    begun = run["flags"].get("initial_weights")
    assert ("starting from the weights" in card) == bool(begun)
    assert not begun or f"starting from the weights of `{begun}`" in card


@pytest.mark.parametrize("name", zoo.characters())
def test_a_transductive_learner_is_also_measured_on_one_drawing_alone(name):
    run = json.loads((zoo.FOLDER / f"{name}.json").read_text())
    if run["batch_norm"] != "transductive":
        assert f"each new {zoo.trained_on(name).example} alone" in zoo.card(name)
        return
    alone = json.loads((zoo.FOLDER / f"{name}.alone.json").read_text())
    assert alone["batch_with"] == "none"
    same = ("ways", "shots", "queries", "tasks", "seed", "settings", "batch_norm")
    assert {k: alone[k] for k in same} == {k: run[k] for k in same}
    assert f"{100 * alone['mean'][-1]:.2f} ± " in zoo.card(name)


def test_a_card_of_tasks_of_different_sizes_tells_the_ranges(tmp_path, monkeypatch):
    run = json.loads((zoo.FOLDER / "omniglot.json").read_text())
    run |= {"ways": [2, 20], "shots": [1, 10], "settings": {}}
    (tmp_path / "ranges.json").write_text(json.dumps(run))
    (tmp_path / "ranges.keras").touch()
    monkeypatch.setattr(sys.modules["meta_tf.zoo.card"], "FOLDER", tmp_path)
    card = zoo.card("ranges")
    assert "up to 20 handwritten characters at a time after 1–10 drawings of each." in card
    assert "characters, 2–20-way 1–10-shot, " in card


def test_pretrained_prints_the_card_when_asked(capsys):
    meta_tf.pretrained("omniglot_5way_1shot", verbose=True)
    assert capsys.readouterr().out == zoo.card("omniglot_5way_1shot") + "\n"
    meta_tf.pretrained("omniglot_5way_1shot")
    assert capsys.readouterr().out == ""


def test_a_wrong_name_of_a_card_is_answered_by_the_list():
    with pytest.raises(
        ValueError,
        match=r"`name` must be one of 'chinese_characters', .*Received: 'mnist'",
    ):
        zoo.card("mnist")
