"""Export to ONNX: what the files compute, where they lie, and what is refused."""

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.export import onnx
from meta_tf.export.request import Request
from tests.exported import needs_onnx, run_onnx
from tests.learners import make_learner

FILES = {"adapt.onnx", "predict.onnx", "adapt_and_predict.onnx"}
OF_EMBEDDINGS = {"embed.onnx", "adapt_embedded.onnx", "predict_embedded.onnx"}


@needs_onnx
@pytest.mark.exhaustive
def test_the_shipped_learner_learns_in_onnx(tmp_path):
    learner = meta_tf.pretrained("omniglot_5way_1shot")
    folder = tmp_path / "learner"
    learner.export(folder, format="onnx", shots=1, queries=6)
    assert {path.name for path in folder.iterdir()} == FILES
    rng = np.random.default_rng(0)
    x, new = (rng.random([n, 28, 28, 1], dtype="float32") for n in (5, 6))
    task = {"support_x": x, "support_y": np.arange(5, dtype="int32")}
    expected = learner.adapt(*task.values())(new)
    weights = run_onnx(folder / "adapt.onnx", task)
    for found in (
        run_onnx(folder / "predict.onnx", {"query_x": new, **weights}),
        run_onnx(folder / "adapt_and_predict.onnx", {"query_x": new, **task}),
    ):
        np.testing.assert_allclose(found["predictions"], expected, rtol=0, atol=1e-3)


@needs_onnx
@pytest.mark.slow
def test_large_weights_are_in_one_file_for_all_signatures(tmp_path):
    body = [keras.Input([900]), keras.layers.Dense(800, activation="relu", name="wide")]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([*body, keras.layers.Dense(3, name="narrow")])
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(3), loss)
    folder = tmp_path / "learner"
    learner.export(folder, format="onnx")
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes.keys() == FILES | OF_EMBEDDINGS | {onnx.WEIGHTS}
    numbers = 900 * 800 + 800 * 3  # the converter leaves out the biases, which are 0
    assert 4 * numbers <= sizes.pop(onnx.WEIGHTS) <= 4 * numbers + 3 * 64
    assert max(sizes.values()) < 40_000
    rng = np.random.default_rng(0)
    x, new = (rng.random([n, 900], dtype="float32") for n in (5, 4))
    task = {"support_x": x, "support_y": np.arange(5, dtype="int32") % 3}
    found = run_onnx(folder / "adapt_and_predict.onnx", {**task, "query_x": new})["predictions"]
    expected = learner.adapt(*task.values()).predict(new, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    x, new = (run_onnx(folder / "embed.onnx", {"x": each})["embeddings"] for each in (x, new))
    weights = run_onnx(folder / "adapt_embedded.onnx", {**task, "support_x": x})
    again = run_onnx(folder / "predict_embedded.onnx", {"query_x": new, **weights})["predictions"]
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-3)
    learner.export(folder, format="onnx")  # replaces it


@pytest.mark.parametrize(
    ("shape", "ways", "tried"),
    [((28, 28, 1), 60, 60), ((224, 224, 3), 60, 3), ((1000, 1000, 3), 60, 2), ((4,), 3, 3)],
)
def test_large_examples_are_tried_in_tasks_of_few_classes(shape, ways, tried):
    numbers = int(np.prod(shape))
    assert Request().ways_to_try(ways, numbers) == tried
    assert Request(ways=ways).ways_to_try(ways, numbers) == ways


@needs_onnx
@pytest.mark.slow
def test_sizes_can_be_chosen_at_run_time(tmp_path):
    """The gradient of a mean writes shapes that only these sizes tell."""
    stack = [keras.Input([8, 8, 2]), keras.layers.Conv2D(4, 3, activation="relu")]
    stack += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(keras.Sequential(stack), meta_tf.MAML(0.1), loss)
    learner.export(tmp_path / "learner", format="onnx")
    rng = np.random.default_rng(0)
    for support, query in ((5, 1), (10, 20), (5, 4)):
        x, new = (rng.random([n, 8, 8, 2], dtype="float32") for n in (support, query))
        task = {"support_x": x, "support_y": np.arange(support, dtype="int32") % 3}
        found = run_onnx(tmp_path / "learner" / "adapt_and_predict.onnx", {**task, "query_x": new})
        expected = learner.adapt(*task.values())(new)
        np.testing.assert_allclose(found["predictions"], expected, rtol=0, atol=1e-5)


@needs_onnx
@pytest.mark.parametrize(
    "unroll",
    [
        pytest.param(8, id="written out", marks=pytest.mark.exhaustive),
        pytest.param(0, id="in a loop", marks=pytest.mark.slow),
    ],
)
def test_an_earlier_export_is_replaced_and_nothing_else(unroll, tmp_path):
    learner = make_learner(algorithm=meta_tf.MAML(0.1, inner_steps=2, unroll=unroll))
    folder = tmp_path / "learner"
    for _ in range(2):
        learner.export(folder, format="onnx")
    assert {path.name for path in folder.iterdir()} == FILES
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="contains other files"):
        learner.export(folder, format="onnx")
    assert (folder / "notes.txt").read_text() == "mine"


def test_without_the_extra_its_name_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "PACKAGES", ("json", "no_such_package"))
    with pytest.raises(ImportError, match=r"needs no-such-package.*'\.\[onnx\]'"):
        make_learner().export(tmp_path / "learner", format="onnx")
