"""Classes of pictures that a run has seen are not evaluated as new ones."""

import json
import zipfile

import numpy as np
import pytest

import meta_tf
from meta_tf.command.main import read
from meta_tf.command.seen_classes import as_setting, check_unseen, seen_by, seen_in
from meta_tf.tasks import ImageFolder
from tests.learners import make_learner
from tests.pictures import noise_folder

SIZES = {"ways": 2, "queries": 1, "size": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return noise_folder(tmp_path_factory.mktemp("images"), classes=12, each=2, size=4)


def save_run(path, seen):
    path.mkdir()
    with zipfile.ZipFile(path / "learner.keras", "w") as file:
        file.writestr("meta_tf_run.json", json.dumps({"settings": as_setting(seen)}))


def evaluated(run, folder, *more):
    """The split that `meta-tf evaluate` uses."""
    words = [f"--learner={run}", "--task=images", f"--data_dir={folder}"]
    flags = [f"--{name}={value}" for name, value in SIZES.items() if name != "size"]
    _, tested = read("evaluate", [*words, *flags, "--image_size=4", "--rotations=classes", *more])
    learner = meta_tf.pretrained(run) if run == "omniglot" else make_learner(compiled=False)
    source, _ = tested.source(learner)
    return source.test


def test_only_classes_that_the_training_had_not_are_evaluated(folder, tmp_path, capsys):
    trained = ImageFolder(folder, rotations="classes", **SIZES)
    seen = seen_in(trained)
    assert len(trained.train.classes) == 4 * 8 and len(seen) == 10
    save_run(tmp_path / "run", seen)
    assert seen_by(tmp_path / "run") == seen_by(tmp_path / "run" / "learner.keras") == seen
    # The same tasks, although the classes are found in another way.
    same = evaluated(tmp_path / "run", folder)
    assert same.classes == trained.test.classes
    for a, b in zip(*(next(iter(s.batches(3))) for s in (same, trained.test)), strict=True):
        for x, y in zip(*(t.values() if isinstance(t, dict) else [t] for t in (a, b)), strict=True):
            np.testing.assert_array_equal(x, y)
    assert "Evaluating 2 of 12 classes: the training had the others" in capsys.readouterr().out
    # In another folder, or if the folder has grown, all new ones, whatever a split would say.
    grown = noise_folder(tmp_path / "grown", classes=20, each=2, size=4)
    new = {f"class{number}" for number in range(20)} - seen
    assert set(evaluated(tmp_path / "run", grown).classes) == new and len(new) == 10
    save_run(tmp_path / "all", {f"class{number}" for number in range(19)})
    with pytest.raises(ValueError, match=r"--ways = 2 .*/grown, with 1 of 20: the training had"):
        evaluated(tmp_path / "all", grown)
    save_run(tmp_path / "unknown", ())
    assert len(evaluated(tmp_path / "unknown", grown).classes) == 4
    assert "Evaluating 4 of 20 classes: those of the test split." in capsys.readouterr().out
    # It was trained on other classes, so these need not be enough for three splits.
    for ways, most in (("20", 20), ("2-9", 9)):
        x, _ = next(iter(evaluated("omniglot", grown, f"--ways={ways}", "--shots=1").batches(1)))
        assert x["support_x"].shape[1] == most and ("support_size" in x) == ("-" in ways)
    assert (
        "all 20 classes. Pictures are not inverted; meta-tf adapt inverts light ones."
        in capsys.readouterr().out
    )
    with pytest.raises(ValueError, match=r"--ways = 21 .*/grown, with 20 of 20. Lower --ways."):
        evaluated("omniglot", grown, "--ways=21")
    assert len(evaluated("chinese_characters", grown).classes) == 4


def test_a_run_does_not_continue_if_its_folder_would_test_seen_classes(folder):
    tasks = ImageFolder(folder, **SIZES)
    check_unseen(seen_in(tasks), tasks)
    changed = ImageFolder(folder, split=(0.2, 0.2, 0.6), **SIZES)
    with pytest.raises(ValueError, match="tests classes that the run has seen: 'class"):
        check_unseen(seen_in(tasks), changed)
