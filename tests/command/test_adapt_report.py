"""What `meta-tf adapt` and `meta-tf predict` report of pictures, with a small learner."""

import csv
import dataclasses
import json
import os
import shutil
import unicodedata
from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import meta_tf
from meta_tf import plots
from meta_tf.calibration import Calibration
from meta_tf.command import adapt, adapt_pictures, picture_answers, predict
from meta_tf.command.main import read
from meta_tf.evaluation.confusion import Confusion

CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
GREYS = {"black": 20, "grey": 120, "white": 235}


def grey(path, value):
    """A picture of one grey, twice as wide as high, with edges of another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full([8, 16, 1], value, np.uint8)
    pixels[:, :3] = pixels[:, -3:] = 255 - value
    Image.fromarray(pixels[..., 0]).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for name, value in GREYS.items():
        for i in range(3):
            grey(folder / "support" / name / f"{i}.png", value + 5 * i - 5)
        grey(folder / "one" / name / "1.png", value)
        grey(folder / "new" / f"{name}.png", value + 3)
        for i in range(2):
            grey(folder / "labelled" / name / f"{i}.png", value + 4 * i)
    grey(folder / "labelled" / "black" / "wrong.png", 130)
    grey(folder / "labelled" / "loose.png", 30)
    for name in ("labelled", "strange"):
        grey(folder / name / "stranger" / "1.png", 90)
    return folder


def make_learner(batch_norm="running"):
    """Pixels in the middle of a picture, which decide by their distance; 4 ways."""
    norm = [keras.layers.BatchNormalization()] if batch_norm == "transductive" else []
    layers = [keras.layers.GlobalAveragePooling2D(), *norm]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=4, scale=30.0), CE, batch_norm)
    learner.pictures = dataclasses.replace(learner.pictures, crop=True)
    return learner


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Runs `meta-tf NAME` with the small learner; returns what it prints."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(adapt_pictures, "load", lambda name: make_learner(*name.split("/")[1:]))

    def run(name, *words):
        module = {"adapt": adapt, "predict": predict}[name]
        learner = ["--learner=mine"] if name == "adapt" else []
        module.run(read(name, [*learner, *words]))  # of two --learner, the last counts
        return capsys.readouterr()

    return run


def test_labels_in_subfolders_are_compared_with_the_answers(command, folder):
    out = command("adapt", "support", "labelled", "--output=a.csv", "--figure=a.png").out
    assert "No class has the name stranger: these pictures are none of these." in out
    # Of 8 labelled pictures, black/wrong.png is grey, and stranger/1.png is nearest to grey.
    assert "6 of 8 right: 75.0 % (95 % interval 40.9 to 92.9 %)." in out
    lines = [line.split() for line in out.splitlines()]
    assert ["✓", "black/0.png", "black"] in [line[:3] for line in lines]
    assert ["✗", "black/wrong.png", "grey"] in [line[:3] for line in lines]
    assert ["black", "2", "1", ".", "."] in lines and ["white", ".", ".", "2", "."] in lines
    rows = rows_of(folder / "a.csv")
    assert {row["picture"]: row["true"] for row in rows}["stranger/1.png"] == "none of these"
    assert {row["picture"]: row["true"] for row in rows}["loose.png"] == ""
    with Image.open(folder / "a.png") as figure:
        assert figure.size[0] > 300


def test_the_title_of_a_figure_counts_pictures_that_are_not_drawn_too(command, monkeypatch):
    titles = []
    monkeypatch.setattr(picture_answers, "_MOST_DRAWN", 3)
    monkeypatch.setattr(
        plots, "named_pictures", lambda *given: titles.append(given[-1]) or Figure()
    )
    command("adapt", "support", "labelled", "--figure=a.png")
    assert titles == ["6 of 8 right, mistakes first; 3 of 9 pictures"]


def test_without_labels_pictures_that_are_left_out_give_an_estimate(command):
    out = command("adapt", "support", "new").out
    assert "Expect about 100 % right (95 % interval 70 to 100 %): of 9 pictures to learn" in out
    assert "Mixed up" not in out
    assert "No estimate of the accuracy" in command("adapt", "one", "new").out


def test_a_calibrated_learner_answers_none_of_these(command, monkeypatch, folder):
    learner = make_learner()
    # Classes are 0.02 from their means; a picture at 0.2 from the nearest is a stranger.
    learner.calibration = Calibration({(3, 1): 3.0, (3, 4): 2.0}, {(3, 1): 3.0}, spread=0.02**2)
    monkeypatch.setattr(adapt_pictures, "load", lambda name: learner)
    out = command("adapt", "support", "labelled", "--output=a.csv", "--save=calibrated.keras").out
    assert "7 of 8 right" in out  # stranger/1.png is none of these
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "✓ stranger/1.png none of these nearest grey" in lines
    # The same from Python, on pictures in place of embeddings: temperature and distances too.
    fitted = learner.adapt(folder / "support")
    pictures = sorted((folder / "labelled" / "black").iterdir())
    sure, strange = fitted.predict_with_strangeness(pictures)
    rows = {row["picture"]: row for row in rows_of(folder / "a.csv")}
    for path, p, s in zip(pictures, sure, strange, strict=True):
        row = rows[f"black/{path.name}"]
        assert float(row["p(black)"]) == pytest.approx(p[0], abs=1e-4)
        assert (row["class"] == "none of these") == (s > 0)
    assert "6 of 8 right" in command("adapt", "support", "labelled", "--nounknown").out
    assert "7 of 8 right" in command("predict", "calibrated.keras", "labelled").out


def test_new_pictures_that_are_also_learned_from_are_counted(command):
    out = command("adapt", "support", "support").out
    assert "9 of the new pictures are also learned from" in out and "9 of 9 right" in out


def test_a_copy_under_another_name_is_counted_and_not_left_out(command, folder, tmp_path):
    shutil.copytree(folder / "support", tmp_path / "support")
    shutil.copy(folder / "support" / "grey" / "0.png", tmp_path / "support" / "white" / "copy.png")
    (tmp_path / "new").mkdir()
    shutil.copy(folder / "support" / "black" / "0.png", tmp_path / "new" / "another.png")
    out = command("adapt", str(tmp_path / "support"), str(tmp_path / "new")).out
    assert "1 of the new pictures is also learned from" in out
    assert "of 8 pictures to learn from" in out  # the copy and its original stay
    assert "Not in this estimate: 2 pictures that are copies of each other." in out


def test_accents_are_the_same_on_every_system(command, folder, tmp_path):
    # macOS may write é as two characters, e and an accent.
    for form in ("NFC", "NFD"):
        for name, value in {"café": 20, "$5": 235}.items():
            grey(tmp_path / form / unicodedata.normalize(form, name) / "1.png", value)
    out = command("adapt", str(tmp_path / "NFC"), str(tmp_path / "NFD"), "--figure=a.PNG").out
    assert "2 of 2 right" in out and (folder / "a.PNG").exists()


def test_loose_pictures_of_one_name_are_one_class(command, folder, tmp_path):
    for name, value in {"black.png": 20, "white.png": 235, "white.bmp": 20}.items():
        grey(tmp_path / name, value)
    command("adapt", str(tmp_path), "new", "--save=loose.keras")
    fitted = keras.models.load_model(folder / "loose.keras")
    mean = float(fitted.weights_now.meta["prototypes"][1, 0])
    assert mean * 255 == pytest.approx((20 + 235) / 2, abs=0.1)  # of both pictures of white


def test_one_picture_is_named_without_its_folder(command, folder):
    (folder / "new" / "notes.txt").write_text("of no use here")
    command("adapt", "support", "new", "--output=all.csv")
    found = command("adapt", "support", "new/white.png", "--output=one.csv", "--save=one.keras")
    assert "ignored" not in found.out
    (one,) = rows_of(folder / "one.csv")
    assert one == {row["picture"]: row for row in rows_of(folder / "all.csv")}["white.png"]
    out = command("predict", "one.keras", "new/white.png", "--output=again.csv").out
    assert "1 picture, of 8 x 16 pixels, is cropped" in out
    assert (folder / "again.csv").read_text() == (folder / "one.csv").read_text()
    with pytest.raises(ValueError, match=r"notes\.txt"):
        command("predict", "one.keras", "new/notes.txt")
    (folder / "new" / "notes.txt").unlink()


def test_json_is_one_object_on_the_output(command):
    found = command("adapt", "support", "new", "--json")
    told = json.loads(found.out)
    assert told["learner"] == "mine" and told["expected"]["right"] == 9
    assert [(one["picture"], one["class"]) for one in told["predictions"]] == [
        ("black.png", "black"),
        ("grey.png", "grey"),
        ("white.png", "white"),
    ]
    sure = told["predictions"][0]["probabilities"]
    assert sum(sure.values()) == pytest.approx(1, abs=1e-5) and set(sure) == set(GREYS)
    assert "cropped" in found.err
    measured = json.loads(command("adapt", "support", "labelled", "--json").out)["measured"]
    assert measured["right"] == 6 and measured["counts"][0] == [2, 1, 0, 0]


@pytest.mark.parametrize(
    "batch_norm", ["running", pytest.param("transductive", marks=pytest.mark.slow)]
)
def test_a_saved_model_answers_as_the_adaptation_did(batch_norm, command, folder):
    learner = f"--learner=mine/{batch_norm}"
    files = ["--output=first.csv", "--save=adapted.keras", "--invert=yes"]
    command("adapt", "support", "new", learner, *files)
    out = command("predict", "adapted.keras", "new", "--output=second.csv").out
    assert "black.png" in out and "Expect" not in out
    assert (folder / "first.csv").read_text() == (folder / "second.csv").read_text()
    assert "6 of 8 right" in command("predict", "adapted.keras", "labelled").out


def test_wilsons_interval_solves_its_equation():
    # Its ends are the p at which the accuracy found is 1.96 standard deviations away.
    found = Confusion.of(["a", "b"], [0] * 7 + [1] * 5, [0] * 6 + [1] * 6)
    assert (found.right, found.number) == (11, 12)
    for p in found.interval:
        assert abs(found.accuracy - p) == pytest.approx(1.96 * np.sqrt(p * (1 - p) / 12))
    assert found.mixed_up() == [("a", "b", 1, 7)]


def test_many_classes_list_their_mistakes_instead_of_a_table():
    names = [f"class {i}" for i in range(30)]
    found = Confusion.of(names, range(30), [1, 1, 1, *range(3, 30)])
    assert str(found) == (
        "mixed up: class 0 taken for class 1 (1 of 1), class 2 taken for class 1 (1 of 1)"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["predict", "adapted.keras"], "--query is needed"),
        (["predict"], "--model is needed"),
        (["predict", "nothing.keras", "new"], "--model must be"),
        (["adapt", "support", "strange"], "of classes: 'black', 'grey', 'white'.*'stranger'"),
        (["adapt", "support", "nowhere"], "--query must be a folder of pictures, or a picture"),
        (["adapt", "nowhere", "new", "--save=adapted.h5"], "--save must end in .keras"),
        (["adapt", "nowhere", "new", "--output=new.parquet"], "--output must end in .csv"),
        (["predict", "nowhere", "new", "--figure=a.docx"], "--figure must end in .png or"),
        (
            ["adapt", "support", "new", "--learner=omniglot", "--views=6"],
            "only for --learner=photos. Received: --learner=omniglot",
        ),
        (
            ["adapt", "support", "new", "--learner=photos", "--backbone=MobileNet9"],
            "`backbone` must be one of",
        ),
    ],
    ids=str,
)
def test_what_is_missing_is_named(words, expected, command):
    with pytest.raises(ValueError, match=expected):
        command(*words)


@pytest.mark.slow
@pytest.mark.skipif("META_TF_PHOTOS" not in os.environ, reason="META_TF_PHOTOS is not set")
def test_photographs_are_named_by_the_learner_of_photographs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("hat", "pants"):
        paths = sorted((Path(os.environ["META_TF_PHOTOS"]) / "clothing" / name).iterdir())
        for i, path in enumerate(paths[:9]):
            to = tmp_path / ("support" if i < 4 else "new") / name / path.name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    adapt.run(
        read("adapt", ["support", "new", "--save=a.keras", "--output=a.csv", "--figure=a.png"])
    )
    out = capsys.readouterr().out
    assert "8 of 8 pictures are photographs. The learner is photos" in out
    assert int(out.split(" of 10 right")[0].split()[-1]) >= 8
    predict.run(read("predict", ["a.keras", "new", "--output=b.csv"]))
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    fitted = meta_tf.pretrained("photos").adapt("support")
    found = fitted.predict_names("new/hat", unknown="none of these").tolist()
    assert found == [r["class"] for r in rows_of(Path("a.csv")) if r["true"] == "hat"]
