"""The page's folder: what is in it, what the page is told of the learner, what is refused."""

import gzip
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf import zoo
from meta_tf.command.main import main
from meta_tf.demo import drawings, photographs, runtime, write
from meta_tf.demo.shown import Shown

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def learner_of(algorithm, outputs=5, batch_norm="support", shape=(28, 28, 1), loss=LOSS):
    model = meta_tf.models.conv4(outputs, filters=2, input_shape=shape)
    return meta_tf.MetaLearner(model, algorithm, loss, batch_norm=batch_norm)


@pytest.fixture
def package(tmp_path):
    """What stands for the unpacked npm package."""
    folder = tmp_path / "package"
    for name in runtime.FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    about = {"name": runtime.PACKAGE, "version": runtime.VERSION}
    (folder / "package.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def exported(monkeypatch):
    """The learners that were exported: none is written for onnxruntime, which may be missing."""
    seen = []

    def export(learner, folder, format):
        assert format == "onnx"
        seen.append(learner)
        folder.mkdir()
        steps = learner.algorithm.steps_to_evaluate()
        for name in ("adapt", "predict", "adapt_and_predict"):
            (folder / f"{name}.onnx").write_text(f"{name} after {steps}")

    monkeypatch.setattr(meta_tf.MetaLearner, "export", export)
    return seen


def test_the_folder_holds_the_page_the_learner_and_what_runs_it(tmp_path, package, exported):
    learner = learner_of(meta_tf.MAML(0.1, inner_steps=1, eval_steps=3))
    shown = [Shown(learner, "mine")]
    size = write.write_page(shown, tmp_path / "page", package)
    written = {p.relative_to(tmp_path / "page") for p in (tmp_path / "page").rglob("*.*")}
    page = {
        path.relative_to(write.PAGE)
        for path in (*write.PAGE.glob("*.*"), *(write.PAGE / "drawings").rglob("*.*"))
        if path.suffix != ".html"
    } | {Path("index.html")}
    names = [Path(name).name for name in runtime.FILES] + [runtime.LICENCE.name]
    ran = {Path("runtime") / (f"{n}.gzip" if n.endswith(".wasm") else n) for n in names}
    files = {Path(f"learner1/{name}_{n}.onnx") for name in ("adapt", "predict") for n in (1, 2, 3)}
    assert written == {*page, *ran, *files, Path("manifest.json")}
    wasm = (tmp_path / "page" / "runtime" / "ort-wasm-simd-threaded.wasm.gzip").read_bytes()
    assert gzip.decompress(wasm) == b"dist/ort-wasm-simd-threaded.wasm"
    assert size == sum((tmp_path / "page" / path).stat().st_size for path in written)
    assert (tmp_path / "page" / "learner1" / "adapt_2.onnx").read_text() == "adapt after 2"
    assert (tmp_path / "page" / "learner1" / "predict_2.onnx").read_text() == "predict after 2"
    (entry,) = json.loads((tmp_path / "page" / "manifest.json").read_text())["learners"]
    told = entry["after"]
    assert {Path(row[name]) for row in told for name in ("adapt", "predict")} == files
    # The weights are the learner's own, whatever the number of steps.
    for other in exported:
        for a, b in zip(other.get_weights(), learner.get_weights(), strict=True):
            assert (a == b).all()


@pytest.mark.parametrize(
    ("algorithm", "outputs", "batch_norm", "told"),
    [
        (
            meta_tf.MAML(0.1, inner_steps=2),
            7,
            "transductive",
            {"shows": "steps", "batch_with": True, "ways": 5, "steps": [1, 2]},
        ),
        (
            meta_tf.ProtoNet(3, scale=2.0),
            None,
            "support",
            {"shows": "distances", "batch_with": False, "ways": 3, "scale": 2.0, "steps": [0]},
        ),
        (
            meta_tf.MatchingNet(4),
            None,
            "running",
            {"shows": "confidence", "batch_with": False, "ways": 4, "steps": [0]},
        ),
    ],
)
def test_the_manifest_describes_the_learner(algorithm, outputs, batch_norm, told):
    learner = learner_of(algorithm, outputs, batch_norm, shape=(20, 20, 1))
    after = [{"steps": steps} for steps in drawings.steps_shown(learner)]
    found = drawings.entry(Shown(learner, "mine"), after)
    assert [row["steps"] for row in found["after"]] == told["steps"]
    assert (found["learner"], found["size"], found["writing"]) == ("mine", 20, None)
    assert (found["pen"], found["side"]) == (zoo.OMNIGLOT.pen, zoo.OMNIGLOT.side)
    assert {name: found[name] for name in told if name != "steps"}.items() <= told.items()


@pytest.mark.parametrize(
    ("steps", "shown"), [(0, [0]), (1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (10, [1, 4, 7, 10])]
)
def test_many_steps_are_shown_by_a_few(steps, shown):
    learner = learner_of(meta_tf.MAML(0.1, inner_steps=1, eval_steps=steps))
    assert drawings.steps_shown(learner) == shown


def test_an_earlier_page_is_replaced_and_nothing_else(tmp_path, package, exported):
    learner, folder = learner_of(meta_tf.ProtoNet(5), None), tmp_path / "page"
    for name in ("first", "second"):
        write.write_page([Shown(learner, name)], folder, package)
    (entry,) = json.loads((folder / "manifest.json").read_text())["learners"]
    assert entry["learner"] == "second"
    (folder / "manifest.json").unlink()
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match="contains other files"):
        write.write_page([Shown(learner, "third")], folder, package)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"shape": (28, 28, 2)}, r"\[size, size, 1\].*mine.*28, 28, 2"),
        ({"shape": (28, 28, 3)}, r"learn by `R2D2`.*mine.*by MAML with batch norm 'support'"),
        ({"shape": (28, 20, 3)}, r"square photographs.*28, 20, 3"),
        ({"shape": (28, 20, 1)}, r"\[size, size, 1\].*28, 20, 1"),
        ({"loss": keras.losses.MeanSquaredError()}, "be a classifier.*mean_squared_error"),
    ],
)
def test_a_learner_of_something_else_is_refused(wrong, told, tmp_path, package):
    learner = learner_of(meta_tf.MAML(0.1), **wrong)
    with pytest.raises(ValueError, match=f"`learner` must .*{told}"):
        write.write_page([Shown(learner, "mine")], tmp_path / "page", package)
    assert not (tmp_path / "page").exists()


def test_learners_of_photographs_have_a_page_of_their_own(tmp_path, package, exported, monkeypatch):
    def shown(channels):
        size = keras.Input([8, 8, channels])
        model = keras.Model(size, keras.layers.GlobalAveragePooling2D()(size))
        algorithm = meta_tf.R2D2(ways=7, regularization=0.5, scale=3.0)
        return Shown(meta_tf.MetaLearner(model, algorithm, LOSS, batch_norm="running"), "mine")

    monkeypatch.setattr(photographs, "embed_file", lambda model: b"a network")
    folder = tmp_path / "page"
    write.write_page([shown(3)], folder, package)
    told = json.loads((folder / "manifest.json").read_text())
    assert told.pop("network") == photographs.fingerprint(shown(3).learner.model, False)
    assert told.pop("lambda") == pytest.approx(0.5)
    assert (folder / told.pop("embed")).read_bytes() == b"a network"
    assert told == {
        "learner": "mine",
        "size": 8,
        "features": 3,
        "white": 1,
        "crop": False,
        "ways": 7,
        "scale": 3.0,
        "bias": 0.0,
        "calibration": None,
    }
    assert (folder / "photographs" / "main.js").is_file() and not (folder / "drawings").exists()
    with pytest.raises(ValueError, match=r"`learner` must be one learner of photographs.*mine, mi"):
        write.write_page([shown(1), shown(3)], folder, package)


def test_a_network_is_known_by_its_shapes_layers_and_weights():
    def network(size=8, kernel=1.0, layer=keras.layers.GlobalAveragePooling2D):
        start = keras.Input([size, size, 3])
        made = keras.Model(start, layer()(keras.layers.Conv2D(2, 1, use_bias=False)(start)))
        made.set_weights([np.full([1, 1, 3, 2], kernel, "float32")])
        return photographs.fingerprint(made)

    others = {network(9), network(kernel=2.0), network(layer=keras.layers.GlobalMaxPooling2D)}
    assert network() == network() and len(others - {network()}) == 3


def test_the_command_writes_a_page(tmp_path, package, exported, capsys):
    assert main(["demo", f"--output={tmp_path / 'page'}", f"--runtime={package}"]) == 0
    assert capsys.readouterr().out.startswith(f"Written to {tmp_path / 'page'} (")
    told = json.loads((tmp_path / "page" / "manifest.json").read_text())
    names = [(entry["learner"], entry["writing"], entry["shows"]) for entry in told["learners"]]
    assert names == [
        ("omniglot", "alphabets", "distances"),
        ("chinese_characters", "chinese", "distances"),
    ]
    for i, entry in enumerate(told["learners"], 1):
        assert {
            row[part].split("/")[0] for row in entry["after"] for part in ("adapt", "predict")
        } == {f"learner{i}"}


def test_learners_of_ones_own_are_called_by_their_files_and_runs(
    tmp_path, package, exported, capsys
):
    """As many symbols can be taught as all of them tell apart; theirs are drawn as Omniglot's."""
    paths = [tmp_path / "run" / "learner.keras", tmp_path / "mine.keras"]
    paths[0].parent.mkdir()
    for path, ways in zip(paths, (3, 4), strict=True):
        learner_of(meta_tf.ProtoNet(ways), None).save(path)
    names = f"--learner={paths[0]},{paths[1]},omniglot,{paths[0].parent}"
    assert main(["demo", names, f"--output={tmp_path / 'page'}", f"--runtime={package}"]) == 0
    told = json.loads((tmp_path / "page" / "manifest.json").read_text())
    assert [entry["learner"] for entry in told["learners"]] == ["run", "mine", "omniglot", "run"]
    assert [entry["writing"] for entry in told["learners"]] == [None, None, "alphabets", None]
    assert told["ways"] == 3


def test_what_is_wrong_is_told_in_one_line(tmp_path, package, exported, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    calls = {
        "contains other files": [f"--output={tmp_path / 'full'}"],
        "`runtime` must be the unpacked npm package": [f"--runtime={tmp_path}"],
        "must be 0-65535. Choose another": [f"--runtime={package}", "--port=70000"],
        "Received: --learner=nothing.": ["--learner=omniglot,nothing"],
    }
    for told, words in calls.items():
        assert main(["demo", *words]) == 1
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and told in err, err
