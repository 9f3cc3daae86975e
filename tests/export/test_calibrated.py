"""What exports say of queries that are none of the classes: the same as Python."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.export.calibration import calibration_of
from meta_tf.export.compare import compare
from meta_tf.export.random_tasks import RandomTasks
from meta_tf.export.refused import Refused
from meta_tf.export.signatures import Signatures
from meta_tf.export.specs import input_specs, target_spec
from tests.marks import few

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
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1, inner_steps=2), loss, **options)
    learner.calibration = meta_tf.Calibration(TEMPERATURES, THRESHOLDS, 0.1, spread)
    return learner


def of_probabilities():
    return maml(spread=None, loss=keras.losses.SparseCategoricalCrossentropy())


def normalised():
    return maml(layers.BatchNormalization(name="norm"), batch_norm="support")


CASES = {
    "distance": protonet,
    "distance before the last layer": normalised,
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
    assert calibration_of(learner)["thresholds"]["batch_with"] == "support"


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
    learner = normalised()
    expected, _ = strangeness_in_python(learner, SUPPORT, LABELS, QUERY)
    learner.export(tmp_path / "out")
    run = tf.saved_model.load(tmp_path / "out").signatures
    steps = {"inner_steps": tf.constant(2), "inner_lr": tf.constant(0.1)}
    task = {"support_x": SUPPORT, "support_y": LABELS, "query_x": QUERY}
    close(run["adapt_steps_and_predict"](**task, **steps)["strangeness"], expected)
    assert run["initial"](query_x=QUERY).keys() == {"predictions"}


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
    assert calibration_of(make()) == {}


@pytest.fixture(scope="module")
def functions():
    return functions_of(protonet())


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
def test_a_file_with_another_strangeness_is_refused(signature, output, change, functions):
    """The comparison itself, with TensorFlow in the place of the other runtime."""
    tasks = RandomTasks(functions["adapt_and_predict"], protonet(), 3)

    def run(name, inputs):
        found = outputs(functions[name], **inputs)
        return {**found, output: change(found[output])} if name == signature else found

    with pytest.raises(Refused, match=rf"strangeness \(of .*{signature}"):
        compare(run, functions, tasks, [(3, 2)], 1e-4)
    right = compare(lambda n, x: outputs(functions[n], **x), functions, tasks, [(3, 2)], 1e-4)
    assert right < 1e-6
