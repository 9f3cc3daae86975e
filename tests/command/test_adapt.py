"""`meta-tf adapt`, `evaluate` and `export` with the learners that are shipped."""

import csv
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.command import adapt, adapt_pictures
from meta_tf.command.main import read
from tests.command_line import one_after_another
from tests.pictures import noise_folder

STROKES = {
    "cross": [((10, 10), (90, 90)), ((10, 90), (90, 10))],
    "plus": [((10, 50), (90, 50)), ((50, 10), (50, 90))],
    "stairs": [((20, 10), (20, 50)), ((20, 50), (60, 50)), ((60, 50), (60, 90))],
    "tent": [((85, 10), (10, 50)), ((10, 50), (85, 90))],
    "zed": [((15, 15), (15, 85)), ((15, 85), (85, 15)), ((85, 15), (85, 85))],
}


def draw(path, strokes, ink=0, shift=0):
    """Writes a drawing of straight strokes, 105 x 105; the ground is 255 - ink."""
    page = np.full([105, 105, 1], 255 - ink, np.uint8)
    for start, end in np.array(strokes) + shift:
        for t in np.linspace(0, 1, 200):
            row, column = np.round(start + t * (end - start)).astype(int)
            page[row - 1 : row + 2, column - 1 : column + 2] = ink
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(page).numpy())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    for name, strokes in STROKES.items():
        draw(folder / "support" / name / "1.png", strokes)
        draw(folder / "flat" / f"{name}.png", strokes)
        draw(folder / "query" / f"new_{name}.png", strokes, shift=3)
        draw(folder / "chalk" / f"new_{name}.png", strokes, ink=255, shift=3)
    for name in ("cross", "plus", "stairs"):
        shutil.copytree(folder / "support" / name, folder / "three" / name)
    shutil.copytree(folder / "support", folder / "six")
    draw(folder / "six" / "bar" / "1.png", [((10, 10), (10, 90))])
    shutil.copytree(folder / "support", folder / "both")
    draw(folder / "both" / "loose.png", [((10, 10), (10, 90))])
    (folder / "empty").mkdir()
    keras.Sequential([keras.Input([3]), keras.layers.Dense(2)]).save(folder / "plain.keras")
    return folder


CALLS = [
    ["adapt", "support", "query", "--output=a.csv", "--save=adapted.keras"],
    ["adapt", "--support=flat", "--query=chalk", "--output=b.csv"],
    ["adapt", "three", "query", "--output=c.csv", "--learner=omniglot_20way_1shot", "--nounknown"],
    ["adapt", "support", "query", "--invert=no", "--output=d.csv"],
    ["export", "--learner=omniglot_5way_1shot", "--output=saved", "--format=tf_saved_model"],
    ["predict", "adapted.keras", "query", "--output=e.csv"],
]
WRONG = [
    (
        ["adapt", "six", "query", "--learner=omniglot_5way_1shot"],
        ["--support", "5 classes", "6 classes", "bar", "20way"],
    ),
    (
        ["adapt", "support"],
        ["--query is needed: a folder of new pictures, one picture, or a table"],
    ),
    (["adapt", "nosuch.csv", "a.csv"], ["--support", "nosuch.csv; there is no such file"]),
    (["adapt", "support", "empty"], ["--query", "empty", "PNG"]),
    (["adapt", "empty", "query"], ["--support", "empty"]),
    (["adapt", "both", "query"], ["--support", "both", "loose.png"]),
    (["adapt", "nowhere", "query"], ["--support", "nowhere"]),
    (["adapt", "support", "query", "more"], ["'more'"]),
    (["adapt", "support", "query", "--learner=plain.keras"], ["plain.keras", "Sequential"]),
    (["adapt", "support", "query", "--learner=nothing"], ["nothing", "omniglot_5way_1shot"]),
    (["adapt", "support", "query", "--learner=a.csv"], ["--learner=a.csv"]),
    (["adapt", "support", "query", "--invert=maybe"], ["--invert", "maybe", "auto"]),
    (["adapt", "support", "query", "--level=0.8"], ["--level", "only for tables", "0.8"]),
    (["adapt", "a.csv", "b.csv", "--json"], ["--json", "only for pictures", "a table"]),
    (["predict", "x.keras", "b.csv", "--json"], ["--json", "only for pictures", "--query is a"]),
    (["export", "--learner=omniglot_5way_1shot"], ["--output"]),
    (["export", "--output=saved"], ["--learner"]),
    (["export", "--learner=nothing", "--output=x", "--format=page"], ["--format", "page"]),
    (
        ["export", "--learner=omniglot_5way_1shot", "--output=x", "--float16"],
        ["`float16`", "litert"],
    ),
    (["evaluate", "--learner=omniglot_5way_1shot"], ["--data_dir", "--task=omniglot"]),
    (["evaluate", "--learner=omniglot_5way_1shot", "--task=sinusoid", "--ways=3"], ["--ways"]),
]


@pytest.fixture(scope="module")
def answers(folder):
    return one_after_another([*CALLS, *(words for words, _ in WRONG)], cwd=folder)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("number", "file"), [(0, "a.csv"), (1, "b.csv"), (2, "c.csv")])
@pytest.mark.slow
def test_new_pictures_are_named(folder, answers, number, file):
    code, out, err = answers[number]
    assert (code, err) == (0, "")
    known = list(STROKES) if number < 2 else ["cross", "plus", "stairs"]
    found = rows(folder / file)
    assert [row["picture"] for row in found] == [f"new_{name}.png" for name in STROKES]
    for name, row in zip(STROKES, found, strict=True):
        sure = {c: float(row[f"p({c})"]) for c in known}
        assert len(row) == 3 + len(known)  # no other class is ever answered
        assert sum(sure.values()) == pytest.approx(1, abs=1e-5)
        assert row["class"] == max(sure, key=sure.get)
        assert float(row["confidence"]) == max(sure.values())
        if name in known:
            assert row["class"] == name
        assert f"{100 * max(sure.values()):.1f} %" in out
    pictures_number = len(known) + len(STROKES)
    if number < 2:
        assert "5 of 5 pictures are strokes on a flat ground. The learner is omniglot" in out
    assert f"{pictures_number} pictures, of 105 x 105 pixels, are resized to 28 x 28." in out


def test_light_and_dark_are_told_apart_and_may_be_forced(folder, answers):
    # Chalk on a board is ink on paper with light and dark turned round.
    for ink, chalk in zip(rows(folder / "a.csv"), rows(folder / "b.csv"), strict=True):
        assert float(ink["confidence"]) == pytest.approx(float(chalk["confidence"]), abs=1e-3)
    assert answers[3][0] == 0
    assert rows(folder / "d.csv") != rows(folder / "a.csv")


def test_the_answers_are_those_of_python_and_of_the_saved_model(folder, answers):
    fitted = keras.models.load_model(folder / "adapted.keras")
    sure = fitted.predict_proba(folder / "query")
    assert (folder / "e.csv").read_text() == (folder / "a.csv").read_text()
    expected = [[float(row[f"p({c})"]) for c in STROKES] for row in rows(folder / "a.csv")]
    np.testing.assert_allclose(sure, expected, atol=1e-5)


def test_what_is_exported_learns(folder, answers):
    code, out, err = answers[4]
    assert (code, err) == (0, "") and "adapt_and_predict" in out
    loaded = tf.saved_model.load(str(folder / "saved"))
    assert "adapt_and_predict" in loaded.signatures


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(w) for w, _ in WRONG])
def test_what_is_wrong_is_answered_in_one_line(answers, number):
    code, _, err = answers[len(CALLS) + number]
    assert code == 1
    assert len(err.splitlines()) == 1, err
    for word in (f"meta-tf {WRONG[number][0][0]}: error:", *WRONG[number][1]):
        assert word in err


@pytest.mark.slow
def test_a_shipped_learner_is_evaluated_on_tasks_of_its_kind(tmp_path):
    noise_folder(tmp_path / "images", classes=20, each=2, size=28)
    words = ["evaluate", "--learner=omniglot_20way_1shot", "--task=images", "--data_dir=images"]
    words += ["--ways=3", "--eval_tasks=4", "--eval_steps=1", "--output=results.json"]
    ((code, out, err),) = one_after_another([words], cwd=tmp_path)
    assert (code, err) == (0, "")
    results = json.loads((tmp_path / "results.json").read_text())
    # 20 ways and 1 query of a class are the learner's; by hand 3 ways.
    assert (results["ways"], results["queries"], results["steps"]) == (3, 1, [0, 1])
    assert f"{100 * results['mean'][1]:.2f} ±" in out


def test_pictures_are_evaluated_in_the_size_and_range_that_the_learner_takes(tmp_path):
    folder = noise_folder(tmp_path / "images", classes=12, each=2, size=8)
    scaling = keras.layers.Rescaling(1 / 255)
    model = keras.Sequential([keras.Input((6, 5, 3)), scaling, keras.layers.Flatten()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=2), loss)
    words = ["--learner=mine", "--task=images", f"--data_dir={folder}", "--ways=2"]
    for more, channels in ([], 3), (["--channels=1"], 1):
        _, tested = read("evaluate", [*words, *more])
        source, _ = tested.source(learner)
        x = next(iter(source.test.batches(1)))[0]["query_x"]
        assert (x.shape[2:], x.dtype) == ((6, 5, channels), "uint8")  # the model scales them
    learner.pictures = dataclasses.replace(learner.pictures, crop=True)
    source, _ = tested.source(learner)
    read_here = learner.pictures.read(str(folder / "class0" / "0.png"))[..., :1]
    every = np.concatenate(
        [
            np.reshape(x.numpy(), [-1, 6, 5, 1])
            for part in (source.train, source.valid, source.test)
            for x, _ in part.labelled()
        ]
    )
    assert any(np.array_equal(read_here[0], x) for x in every)


@pytest.mark.parametrize("scales", [False, True])
def test_a_learner_is_given_pixels_as_in_training(scales, tmp_path, monkeypatch, capsys):
    for path, grey in (("first/a", 60), ("first/b", 180), ("new", 61)):
        (tmp_path / path).mkdir(parents=True)
        picture = tf.io.encode_png(np.full([6, 6, 1], grey, np.uint8))
        (tmp_path / path / "1.png").write_bytes(picture.numpy())
    layers = [keras.layers.Rescaling(1 / 255)] if scales else []
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Flatten()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner, given = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=2), loss), []
    inputs_of = adapt_pictures.inputs_of
    embedded = lambda *rest: (given.append(inputs_of(*rest)), given[-1])[1]  # noqa: E731
    monkeypatch.setattr(adapt_pictures, "inputs_of", embedded)
    monkeypatch.setattr(adapt_pictures, "load", lambda name: learner)
    words = [str(tmp_path / "first"), str(tmp_path / "new"), "--learner=mine", "--invert=no"]
    adapt.run(read("adapt", words))
    # A model that scales pixels itself gets them from 0 to 255, another one from 0 to 1.
    np.testing.assert_allclose(given[0][:, 0], np.array([60, 180, 61]) / 255, rtol=1e-6)
    assert "1.png     a " in capsys.readouterr().out
