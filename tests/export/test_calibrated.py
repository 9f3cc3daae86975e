"""What exports say of queries that are none of the classes: the same as Python."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.export import litert, onnx
from meta_tf.export.compare import compare
from meta_tf.export.description import described, write_beside
from meta_tf.export.random_tasks import RandomTasks
from meta_tf.export.refused import Refused
from meta_tf.export.signatures import Signatures
from meta_tf.export.specs import input_specs, target_spec
from meta_tf.learner.calibrate import tasks_of
from tests.exported import litert_signatures, run_onnx
from tests.marks import exhaustive, few, few_slow, slow
from tools.export_photos import draw

layers = keras.layers
CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
TEMPERATURES = {(2, 1): 3.0, (3, 4): 1.5}
THRESHOLDS = {(2, 1): 0.7, (3, 1): 0.4, (3, 4): 0.2}
MEASURED = {"strangeness_means", "strangeness_noise", "strangeness_within"}
RNG = np.random.default_rng(0)
SUPPORT = RNG.normal(size=[5, 4]).astype("float32")
LABELS = np.array([0, 1, 1, 1, 0], "int32")  # and a third class without an example
QUERY = np.concatenate([SUPPORT[:2] + 0.1, 9 * RNG.normal(size=[3, 4])]).astype("float32")


def body(*head):
    return keras.Sequential([keras.Input([4]), layers.Dense(6, "relu", name="body"), *head])


def protonet(spread=1.5, **options):
    learner = meta_tf.MetaLearner(body(), meta_tf.ProtoNet(3), CE, **options)
    learner.calibration = meta_tf.Calibration(TEMPERATURES, THRESHOLDS, 0.1, spread)
    return learner


def maml(*before, spread=0.3, loss=CE, **options):
    head = layers.Dense(3, None if loss is CE else "softmax", name="head")
    model = body(*before, head)
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), loss, **options)
    learner.calibration = meta_tf.Calibration(TEMPERATURES, THRESHOLDS, 0.1, spread)
    return learner


def of_probabilities():
    return maml(spread=None, loss=keras.losses.SparseCategoricalCrossentropy())


def normalised():
    return maml(layers.BatchNormalization(name="norm"), batch_norm="support")


CASES = {
    "distance": protonet,
    "distance before the last layer": maml,
    "distance after batch norm": normalised,
    "energy": lambda: maml(spread=None),
    "energy of probabilities": of_probabilities,
}


def threshold_by(table, ways, shots):
    """As docs/saving.md describes it."""
    sizes = np.log([table["ways"], table["shots"]]).T
    size = np.clip(np.log([ways, shots]), sizes.min(0), sizes.max(0))
    square = np.maximum(np.square(sizes - size).sum(1), 1e-12)
    return np.average(table["threshold"], weights=square**-2)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def strangeness_in_python(learner, x, y, query, **options):
    fitted = learner.adapt(x, y)
    return fitted.predict_with_strangeness(query, **options)[1] + fitted.threshold, fitted


def functions_of(learner):
    inputs = input_specs(learner.algorithm, learner.network, None)
    made = Signatures(learner, inputs, target_spec(learner, inputs, None))
    return {**made.three(), **made.on_embeddings()}


def outputs(function, **inputs):
    given = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in function(**given).items()}


@pytest.mark.parametrize("case", few(CASES, "distance", "energy", "distance before the last layer"))
def test_the_functions_say_what_is_none_of_the_classes(case):
    learner = CASES[case]()
    expected, fitted = strangeness_in_python(learner, SUPPORT, LABELS, QUERY)
    run = functions_of(learner)
    task = {"support_x": SUPPORT, "support_y": LABELS}
    weights = outputs(run["adapt"], **task)
    assert MEASURED & weights.keys() == (MEASURED if "distance" in case else set())
    for found in (
        outputs(run["adapt_and_predict"], query_x=QUERY, **task),
        outputs(run["predict"], query_x=QUERY, **weights),
    ):
        close(found["strangeness"], expected)
        close(found["predictions"][:, :2], fitted.predict(QUERY, verbose=0)[:, :2])
    if case == "energy":
        z = found["predictions"].astype("float64")
        close(expected, -np.log(np.exp(z).sum(-1)))
    if case == "distance":
        x, new = (outputs(run["embed"], x=x)["embeddings"] for x in (SUPPORT, QUERY))
        weights = outputs(run["adapt_embedded"], support_x=x, support_y=LABELS)
        found = outputs(run["predict_embedded"], query_x=new, **weights)
        close(found["strangeness"], expected)


@pytest.mark.slow
def test_transductive_functions_say_it_of_a_query_beside_the_support_set():
    learner = maml(layers.BatchNormalization(name="norm"))
    expected, _ = strangeness_in_python(learner, SUPPORT, LABELS, QUERY[-1:], batch_with=SUPPORT)
    task = {"support_x": SUPPORT, "support_y": LABELS}
    both = np.concatenate([SUPPORT, QUERY[-1:]])
    found = outputs(functions_of(learner)["adapt_and_predict"], query_x=both, **task)
    close(found["strangeness"][-1:], expected)
    assert described(learner)["thresholds"]["batch_with"] == "support"


def test_a_saved_model_describes_the_thresholds(tmp_path):
    learner = protonet()
    expected, fitted = strangeness_in_python(learner, SUPPORT, LABELS, QUERY)
    learner.export(tmp_path / "out")
    run = tf.saved_model.load(tmp_path / "out").signatures["serving_default"]
    found = run(support_x=SUPPORT, support_y=LABELS, query_x=QUERY)
    assert found.keys() == {"predictions", "strangeness"}
    about = json.loads((tmp_path / "out/assets.extra/meta_tf.json").read_text())
    assert about["temperature"] == learner.calibration.temperature_formula()
    table = about["thresholds"]
    assert (table["false_alarms"], table["batch_with"]) == (0.1, None)
    assert threshold_by(table, 2, 2.5) == pytest.approx(fitted.threshold)
    for size, value in THRESHOLDS.items():
        assert threshold_by(table, *size) == pytest.approx(value)
    strange = found["strangeness"].numpy() > threshold_by(table, 2, 2.5)
    assert strange.tolist() == (expected > fitted.threshold).tolist() == [False] * 2 + [True] * 3


@pytest.mark.slow
def test_other_signatures_of_a_saved_model(tmp_path):
    learner = maml()
    expected, _ = strangeness_in_python(learner, SUPPORT, LABELS, QUERY)
    learner.export(tmp_path / "out")
    run = tf.saved_model.load(tmp_path / "out").signatures
    steps = {"inner_steps": tf.constant(1), "inner_lr": tf.constant(0.1)}
    task = {"support_x": SUPPORT, "support_y": LABELS, "query_x": QUERY}
    close(run["adapt_steps_and_predict"](**task, **steps)["strangeness"], expected)
    assert run["initial"](query_x=QUERY).keys() == {"predictions"}


FORMATS = {"tf_saved_model": "out", "litert": "out.tflite", "onnx": "out"}
NEEDED = {"tf_saved_model": (), "litert": litert.PACKAGES, "onnx": onnx.PACKAGES}
FILES = [(case, format) for case in CASES for format in ("litert", "onnx")]


def from_file(learner, folder, format, task, query):
    """The strangeness by an export's `adapt` and `predict`, and the threshold that it describes."""
    for package in NEEDED[format]:
        pytest.importorskip(package)
    path = folder / FORMATS[format]
    open_sizes = format == "tf_saved_model"
    # `ways` times one example; fixed sizes are exported faster.
    learner.export(path, format, **({} if open_sizes else {"ways": len(task["support_y"])}))
    if format == "onnx":
        weights = run_onnx(path / "adapt.onnx", task)
        found = run_onnx(path / "predict.onnx", {"query_x": query, **weights})
    else:
        run = tf.saved_model.load(path).signatures if open_sizes else litert_signatures(path)
        found = run["predict"](query_x=query, **run["adapt"](**task))
    if open_sizes:
        table = json.loads((path / "assets.extra/meta_tf.json").read_text())["thresholds"]
    else:
        names = [name for name, part in described(learner).items() if part is not None]
        beside = {name: path.with_name(f"{path.name}.{name}.json") for name in names}
        assert {path, *beside.values()} == set(folder.iterdir())
        table = json.loads(beside["thresholds"].read_text())
    y = task["support_y"]
    ways = len(set(y.tolist()))
    return np.asarray(found["strangeness"]), threshold_by(table, ways, len(y) / ways)


@pytest.mark.parametrize(
    "file",
    few_slow(FILES, ("distance", "onnx"), ("distance after batch norm", "litert")),
    ids=" in ".join,
)
def test_files_say_what_is_none_of_the_classes(file, tmp_path):
    case, format = file
    learner = CASES[case]()
    x, y = SUPPORT[:3], np.arange(3, dtype="int32")
    expected, fitted = strangeness_in_python(learner, x, y, QUERY)
    task = {"support_x": x, "support_y": y}
    found, threshold = from_file(learner, tmp_path, format, task, QUERY)
    close(found, expected)
    assert threshold == pytest.approx(fitted.threshold)


@pytest.mark.skipif("META_TF_OMNIGLOT" not in os.environ, reason="META_TF_OMNIGLOT is not set")
@pytest.mark.parametrize("name", [slow("omniglot"), exhaustive("omniglot_5way_1shot_support")])
@pytest.mark.parametrize("format", FORMATS)
def test_files_of_shipped_learners_tell_real_drawings_apart(name, format, tmp_path):
    """Five characters are learned; of those and of two more, another drawing is shown."""
    learner = meta_tf.pretrained(name)
    source = meta_tf.tasks.Omniglot(os.environ["META_TF_OMNIGLOT"], ways=7, shots=1, queries=1)
    (drawn,) = tasks_of(source.test, 1, 0)
    x, y, query, shown = (
        np.asarray(drawn[name]) for name in ("support_x", "support_y", "query_x", "query_y")
    )
    task = {"support_x": x[y < 5], "support_y": y[y < 5].astype("int32")}
    expected, fitted = strangeness_in_python(learner, *task.values(), query)
    found, threshold = from_file(learner, tmp_path, format, task, query)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert threshold == pytest.approx(fitted.threshold)
    assert (found > threshold).tolist() == (shown >= 5).tolist()


@pytest.mark.exhaustive
@pytest.mark.skipif("META_TF_PHOTOS" not in os.environ, reason="META_TF_PHOTOS is not set")
@pytest.mark.parametrize("format", FORMATS)
def test_files_of_the_learner_of_photographs_tell_groceries_apart(format, tmp_path):
    """Four kinds are learned; of those and of a fifth, five pictures each are shown."""
    learner = meta_tf.pretrained("photos")
    x, y, query, shown = draw(Path(os.environ["META_TF_PHOTOS"]) / "grocery", seed=0)
    task = {"support_x": x[y < 4], "support_y": y[y < 4]}
    expected, fitted = strangeness_in_python(learner, *task.values(), query)
    found, threshold = from_file(learner, tmp_path, format, task, query)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert threshold == pytest.approx(fitted.threshold)
    assert np.mean((found > threshold) == (shown == 4)) > 0.9


def uncalibrated():
    learner = protonet()
    learner.calibration = None
    return learner


def regression():
    learner = meta_tf.MetaLearner(body(layers.Dense(1)), meta_tf.MAML(0.1), "mse")
    learner.calibration = meta_tf.Calibration(TEMPERATURES, THRESHOLDS)
    return learner


@pytest.mark.parametrize("make", [uncalibrated, regression])
def test_other_learners_are_exported_without(make):
    run = functions_of(make())
    for name in ("adapt_and_predict", "predict"):
        assert run[name].structured_outputs.keys() == {"predictions"}
    assert not MEASURED & run["adapt"].structured_outputs.keys()
    assert set(described(make()).values()) == {None}


def test_descriptions_of_an_earlier_export_are_removed(tmp_path):
    write_beside(tmp_path / "learner.tflite", protonet())
    names = {"temperature", "thresholds"}
    assert {p.name for p in tmp_path.iterdir()} == {f"learner.tflite.{n}.json" for n in names}
    write_beside(tmp_path / "learner.tflite", uncalibrated())
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def compared():
    """Compares TensorFlow with itself, whose outputs `changed(name, outputs)` may change."""
    functions = functions_of(protonet())
    tasks = RandomTasks(functions["adapt_and_predict"], protonet(), 3)

    def compared(changed):
        def run(name, inputs):
            return changed(name, outputs(functions[name], **inputs))

        return compare(run, functions, tasks, [(3, 2)], 1e-4)

    assert compared(lambda name, found: found) < 1e-6
    return compared


@pytest.mark.parametrize(
    ("signature", "output", "change"),
    [
        ("adapt_and_predict", "strangeness", lambda s: s + 3e-3),
        ("predict", "strangeness", lambda s: s + 3e-3),
        ("predict", "strangeness", lambda s: s + np.nan),
        ("predict", "strangeness", lambda s: s[:, None]),
        ("predict_embedded", "strangeness", lambda s: s + 3e-3),
        ("adapt", "strangeness_noise", lambda n: 1.003 * n),  # log(distance / noise)
    ],
)
def test_a_file_with_another_strangeness_is_refused(signature, output, change, compared):
    def changed(name, found):
        return {**found, output: change(found[output])} if name == signature else found

    with pytest.raises(Refused, match=rf"strangeness \(of .*{signature}"):
        compared(changed)
