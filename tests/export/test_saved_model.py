import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import meta_tf
from tests.marks import few_slow

SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense():
    return meta_tf.models.mlp(3, 2, hidden=(4,), kernel_initializer="glorot_uniform")


def normalised():
    stack = [
        keras.Input([6, 6, 1]),
        layers.Conv2D(4, 3, name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        layers.Flatten(name="flat"),
        layers.Dense(3, name="head"),
    ]
    return keras.Sequential(stack, name="net")


def recurrent():
    stack = [keras.Input([None, 2]), layers.LSTM(4, name="lstm"), layers.Dense(3, name="head")]
    return keras.Sequential(stack, name="net")


def dropping():
    stack = [keras.Input([3]), layers.Dropout(0.5, name="drop"), layers.Dense(3, name="head")]
    return keras.Sequential(stack, name="net")


def learner_of(model, algorithm, classify=True, **options):
    return meta_tf.MetaLearner(model(), algorithm, SPARSE if classify else "mse", **options)


def sets(shape, support, query, targets=None):
    """One task: inputs of this shape, and targets of that or labels of three classes."""
    rng = np.random.default_rng(0)
    x, q = (rng.normal(size=[n, *shape]).astype("float32") for n in (support, query))
    if targets:
        return x, rng.normal(size=[support, *targets]).astype("float32"), q
    return x, np.arange(support, dtype="int32") % 3, q


def exported(learner, path, **options):
    learner.export(path, **options)
    return tf.saved_model.load(path).signatures


MAML, REPTILE = (
    meta_tf.MAML(inner_lr=0.1, inner_steps=2),
    meta_tf.Reptile(inner_lr=0.01, inner_steps=2, unroll=1),
)
CASES = {
    "mlp": (lambda: learner_of(dense, MAML, classify=False), (3,), (2,)),
    "bn-transductive": (lambda: learner_of(normalised, MAML), (6, 6, 1), None),
    "bn-support": (
        lambda: learner_of(normalised, MAML, batch_norm="support"),
        (6, 6, 1),
        None,
    ),
    "bn-running": (
        lambda: learner_of(normalised, MAML, batch_norm="running"),
        (6, 6, 1),
        None,
    ),
    "lstm": (lambda: learner_of(recurrent, meta_tf.MAML(inner_lr=0.1)), (5, 2), None),
    "dropout": (lambda: learner_of(dropping, MAML), (3,), None),
    "meta-sgd": (lambda: learner_of(dense, meta_tf.MetaSGD(), classify=False), (3,), (2,)),
    "meta-curvature": (
        lambda: learner_of(dense, meta_tf.MetaCurvature(0.1, inner_steps=2), classify=False),
        (3,),
        (2,),
    ),
    "anil": (lambda: learner_of(normalised, meta_tf.ANIL(inner_lr=0.1)), (6, 6, 1), None),
    "reptile": (lambda: learner_of(normalised, REPTILE, batch_norm="support"), (6, 6, 1), None),
}


@pytest.mark.parametrize(
    "case", few_slow(CASES, "mlp", "bn-support", "bn-running", "lstm", "meta-curvature")
)
def test_equals_the_library(case, tmp_path):
    make, shape, targets = CASES[case]
    learner = make()
    run = exported(learner, tmp_path / "out")
    for support, query in ((6, 4), (9, 1)):
        x, y, q = sets(shape, support, query, targets)
        expected = learner.adapt(x, y)(q)
        whole = run["adapt_and_predict"](support_x=x, support_y=y, query_x=q)
        np.testing.assert_allclose(whole["predictions"], expected, rtol=1e-5, atol=1e-6)
        adapted = run["adapt"](support_x=x, support_y=y)
        parts = run["predict"](query_x=q, **adapted)
        np.testing.assert_allclose(parts["predictions"], expected, rtol=1e-5, atol=1e-6)
        initial = learner.network(learner.network.weights, q)
        first = run["initial"](query_x=q)
        np.testing.assert_allclose(first["predictions"], initial, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        run["serving_default"](support_x=x, support_y=y, query_x=q)["predictions"],
        whole["predictions"],
    )


@pytest.mark.parametrize(
    "case", few_slow(["mlp", "bn-support", "reptile", "meta-curvature"], "mlp", "reptile")
)
def test_steps_and_rate_at_run_time(case, tmp_path):
    make, shape, targets = CASES[case]
    learner = make()
    run = exported(learner, tmp_path / "out")["adapt_steps_and_predict"]
    x, y, q = sets(shape, 6, 4, targets)
    settings = {**learner.algorithm.get_config(), "inner_lr": 0.03}
    algorithm = type(learner.algorithm)(**settings)
    other = meta_tf.MetaLearner(
        learner.model, algorithm, learner.network.loss, batch_norm=learner.network.batch_norm
    )
    for steps in (0, 1, 5, 12):
        given = {"inner_steps": tf.constant(steps), "inner_lr": tf.constant(0.03)}
        found = run(support_x=x, support_y=y, query_x=q, **given)["predictions"]
        expected = other.adapt(x, y, steps=steps)(q)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_adapted_weights_are_named_and_are_those_that_change(tmp_path):
    x, y, _ = sets((6, 6, 1), 6, 1)
    learner = learner_of(normalised, meta_tf.ANIL(inner_lr=0.1), batch_norm="running")
    adapted = exported(learner, tmp_path / "out")["adapt"](support_x=x, support_y=y)
    assert set(adapted) == {"net_head_kernel", "net_head_bias"}
    # One step: w - α dL/dw, and dL/db is the mean of softmax(p) - onehot(y).
    p = tf.nn.softmax(learner.model(x)).numpy()
    gradient = (p - np.eye(3)[y]).mean(0)
    np.testing.assert_allclose(adapted["net_head_bias"], -0.1 * gradient, rtol=1e-4)


def test_learned_rates_are_exported_and_leave_out_the_rate_at_run_time(tmp_path):
    learner = learner_of(dense, meta_tf.MetaSGD(inner_lr=0.1), classify=False)
    for rate in learner._meta.values():
        rate.assign(tf.zeros_like(rate))  # learns nothing
    run = exported(learner, tmp_path / "out")
    assert set(run) == {"serving_default", "adapt_and_predict", "adapt", "predict", "initial"}
    x, y, q = sets((3,), 5, 2, (2,))
    found = run["adapt_and_predict"](support_x=x, support_y=y, query_x=q)["predictions"]
    np.testing.assert_allclose(found, learner.model(q), rtol=1e-6)


def test_an_export_is_a_snapshot(tmp_path):
    learner = CASES["mlp"][0]()
    x, y, q = sets((3,), 5, 2, (2,))
    expected = learner.adapt(x, y)(q)
    run = exported(learner, tmp_path / "out")
    learner.model.set_weights([0 * w for w in learner.model.get_weights()])
    found = run["adapt_and_predict"](support_x=x, support_y=y, query_x=q)["predictions"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_gradient_may_not_know_its_shape(tmp_path):
    """As that of attention over an open number of examples, whose shape Meta-Curvature needs."""
    x = keras.Input([4, 2])
    seen = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 3)(x, x))
    model = keras.Model(x, layers.Dense(3, name="head")(seen))
    learner = meta_tf.MetaLearner(model, meta_tf.MetaCurvature(0.1, inner_steps=2), SPARSE)
    run = exported(learner, tmp_path / "out")["adapt_and_predict"]
    x, y, q = sets((4, 2), 6, 4)
    found = run(support_x=x, support_y=y, query_x=q)["predictions"]
    np.testing.assert_allclose(found, learner.adapt(x, y)(q), rtol=1e-5, atol=1e-6)


def test_several_inputs(tmp_path):
    a, b = keras.Input([2], name="left"), keras.Input([3], name="right")
    head = layers.Dense(1, name="head")(layers.Concatenate(name="both")([a, b]))
    learner = meta_tf.MetaLearner(keras.Model({"left": a, "right": b}, head), MAML, "mse")
    run = exported(learner, tmp_path / "out")["adapt_and_predict"]
    (left, y, q_left), (right, _, q_right) = sets((2,), 5, 4, (1,)), sets((3,), 5, 4, (1,))
    found = run(
        support_x_left=left,
        support_x_right=right,
        support_y=y,
        query_x_left=q_left,
        query_x_right=q_right,
    )
    fitted = learner.adapt({"left": left, "right": right}, y)
    expected = fitted({"left": q_left, "right": q_right})
    np.testing.assert_allclose(found["predictions"], expected, rtol=1e-5, atol=1e-6)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.head = layers.Dense(2, name="head")

    def call(self, inputs):
        return self.head(inputs)


def test_a_subclassed_model_needs_its_inputs_told(tmp_path):
    model = Subclassed()
    model(np.zeros([1, 3], "float32"))
    learner = meta_tf.MetaLearner(model, MAML, "mse")
    with pytest.raises(ValueError, match=r"`input_signature` is needed .* 'own' of type Subcl"):
        learner.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    spec = tf.TensorSpec([1, 3])
    run = exported(learner, tmp_path / "out", input_signature=spec)["adapt_and_predict"]
    x, y, q = sets((3,), 5, 2, (2,))
    found = run(support_x=x, support_y=y, query_x=q)["predictions"]
    np.testing.assert_allclose(found, learner.adapt(x, y)(q), rtol=1e-5, atol=1e-6)


def test_targets_of_another_shape(tmp_path):
    def last_only(y, predictions):  # targets [S] for outputs [S, 2]
        return tf.square(y - predictions[:, -1])

    learner = meta_tf.MetaLearner(dense(), MAML, last_only)
    run = exported(learner, tmp_path / "out", target_signature=tf.TensorSpec([None]))
    x, y, q = sets((3,), 5, 2, (2,))
    found = run["adapt_and_predict"](support_x=x, support_y=y[:, 0], query_x=q)["predictions"]
    np.testing.assert_allclose(found, learner.adapt(x, y[:, 0])(q), rtol=1e-5, atol=1e-6)


def test_a_failure_leaves_the_earlier_export(tmp_path, monkeypatch):
    learner, path = CASES["mlp"][0](), tmp_path / "out"
    learner.export(path)
    before = (path / "saved_model.pb").read_bytes()

    def half(module, folder, *rest):
        os.makedirs(folder)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", half)
        with pytest.raises(OSError, match="no space"):
            learner.export(path)
    assert (path / "saved_model.pb").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    learner.export(path)  # and a later one replaces it
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_it_replaces_nothing_but_exports(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    learner = CASES["mlp"][0]()
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(ValueError, match="contains other files"):
            learner.export(path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_wrong_arguments(tmp_path):
    learner = CASES["mlp"][0]()
    with pytest.raises(
        ValueError, match="`format` must be one of 'tf_saved_model', 'litert', 'onnx'"
    ):
        learner.export(tmp_path / "out", format="page")
    with pytest.raises(ValueError, match=r"`input_signature` must be tf.TensorSpec of a batch"):
        learner.export(tmp_path / "out", input_signature=[None, 3])


@pytest.mark.parametrize("sizes", [{"ways": 2}, {"shots": 5}, {"queries": 1, "shots": None}])
def test_sizes_are_not_for_a_saved_model(sizes, tmp_path):
    name, value = next(iter(sizes.items()))
    with pytest.raises(ValueError, match=f"any size.*leave out .*Received: {name}={value}.$"):
        CASES["mlp"][0]().export(tmp_path / "out", **sizes)
    assert not (tmp_path / "out").exists()


def test_any_sizes_are_what_a_saved_model_has(tmp_path):
    run = exported(CASES["mlp"][0](), tmp_path / "out", shots=None)["adapt_and_predict"]
    assert run.structured_input_signature[1]["support_x"].shape == [None, 3]


def test_it_says_what_it_is(tmp_path, capsys):
    CASES["bn-support"][0]().export(tmp_path / "out", verbose=True)
    assert "adapt_steps_and_predict" in capsys.readouterr().out
    about = json.loads((tmp_path / "out/assets.extra/meta_tf.json").read_text())
    assert (about["algorithm"], about["batch_norm"]) == ("MAML", "support")
    assert about["settings"]["inner_lr"] == 0.1


def test_it_says_the_range_of_its_pictures(tmp_path):
    meta_tf.pretrained("omniglot_5way_1shot_support").export(tmp_path / "out")
    about = json.loads((tmp_path / "out/assets.extra/meta_tf.json").read_text())
    assert about["largest_input"] == 1


BARE = """
import sys
import numpy as np, tensorflow as tf
run = tf.saved_model.load("out").signatures["adapt_and_predict"]
sets = {k: tf.constant(v) for k, v in np.load("sets.npz").items()}
np.save("found.npy", run(**sets)["predictions"])
assert "meta_tf" not in sys.modules
"""


def shell(folder, *command):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CLI = "from tensorflow.python.tools.saved_model_cli import main; main()"


@pytest.mark.slow
def test_tensorflow_alone_suffices(tmp_path):
    learner = CASES["bn-support"][0]()
    learner.export(tmp_path / "out")
    x, y, q = sets((6, 6, 1), 6, 4)
    expected = learner.adapt(x, y)(q)
    np.savez(tmp_path / "sets.npz", support_x=x, support_y=y, query_x=q)

    shell(tmp_path, "-c", BARE)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-5, atol=1e-6)

    shown = shell(tmp_path, "-c", CLI, "show", "--dir", "out", "--all")
    assert set(re.findall(r"signature_def\['(\w+)'\]", shown)) >= {"adapt", "predict", "initial"}
    assert "shape: (-1, 6, 6, 1)" in shown

    inputs = ";".join(f"{name}=sets.npz[{name}]" for name in ("support_x", "support_y", "query_x"))
    options = ["--dir", "out", "--tag_set", "serve", "--signature_def", "adapt_and_predict"]
    shell(tmp_path, "-c", CLI, "run", *options, "--inputs", inputs, "--outdir", ".")
    np.testing.assert_allclose(
        np.load(tmp_path / "predictions.npy"), expected, rtol=1e-5, atol=1e-6
    )
