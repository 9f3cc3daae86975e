"""Export to LiteRT: what the file computes, where it lies, and what is refused."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import meta_tf
from meta_tf.export import formats, litert
from meta_tf.export.compare import compare
from meta_tf.export.random_tasks import RandomTasks
from meta_tf.export.refused import Refused
from meta_tf.export.request import Request
from meta_tf.layers import strangeness
from meta_tf.network.standardized_loss import StandardizedLoss
from tests.exported import litert_signatures, needs_litert

IN_CI = ("pooling", "norms")  # with the conformance rows, rules of most kinds
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def slow_or_exhaustive(value, slow):
    return pytest.param(value, marks=pytest.mark.slow if slow else pytest.mark.exhaustive)


def learner_of(*stack, shape=(8, 8, 2), steps=2, **options):
    model = keras.Sequential(
        [keras.Input(shape), *stack, layers.Flatten(), layers.Dense(3, name="head")], name="net"
    )
    return meta_tf.MetaLearner(model, meta_tf.MAML(0.05, inner_steps=steps), SPARSE, **options)


def sets(shape, support, query):
    rng = np.random.default_rng(0)
    x, new = (rng.random([n, *shape], dtype="float32") for n in (support, query))
    return x, np.arange(support, dtype="int32") % 5, new


@needs_litert
@pytest.mark.slow
def test_the_shipped_learner_learns_in_litert(tmp_path):
    learner = meta_tf.pretrained("omniglot_5way_1shot")
    path = tmp_path / "new folder" / "learner.tflite"
    learner.export(path, format="litert", shots=1, queries=6)
    run = litert_signatures(path)
    assert set(run) == {"adapt", "predict", "adapt_and_predict"}
    x, y, new = sets((28, 28, 1), 5, 6)
    expected = learner.adapt(x, y)(new)
    at_once = run["adapt_and_predict"](support_x=x, support_y=y, query_x=new)["predictions"]
    np.testing.assert_allclose(at_once, expected, rtol=0, atol=1e-3)
    weights = run["adapt"](support_x=x, support_y=y)
    # No moving statistics: in the mode `transductive` nothing is predicted from them.
    of_the_network = {*(f"conv{i}_kernel" for i in (1, 2, 3, 4)), "head_kernel", "head_bias"}
    assert set(weights) == of_the_network | strangeness.FITTED
    apart = run["predict"](query_x=new, **weights)["predictions"]
    np.testing.assert_allclose(apart, expected, rtol=0, atol=1e-3)
    found = sorted(p.name for p in path.parent.iterdir())
    beside = [f"learner.tflite.{name}.json" for name in ("temperature", "thresholds")]
    assert found == ["learner.tflite", *beside]


@needs_litert
@pytest.mark.slow
def test_sizes_can_be_chosen_at_run_time(tmp_path):
    learner = learner_of(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU())
    learner.export(tmp_path / "learner.tflite", format="litert")
    run = litert_signatures(tmp_path / "learner.tflite")["adapt_and_predict"]
    for support, query in ((5, 1), (10, 20), (5, 4)):
        x, y, new = sets((8, 8, 2), support, query)
        given = run(support_x=x, support_y=y % 3, query_x=new)["predictions"]
        expected = learner.adapt(x, y % 3)(new)
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


@needs_litert
@pytest.mark.slow
def test_float16_takes_less_room_and_says_how_far_off_it_is(tmp_path, capsys):
    learner = learner_of(layers.Dense(300, "relu"), shape=(40,))
    found = {}
    for half in (False, True):
        path = tmp_path / f"{half}.tflite"
        learner.export(path, format="litert", shots=1, queries=6, float16=half, verbose=True)
        (difference,) = re.findall(r"at most (\S+) of", capsys.readouterr().out)
        found[half] = path.stat().st_size, float(difference)
    assert found[True][0] < 0.7 * found[False][0]
    # float16 has 11 bits: 2⁻¹¹ ≈ 5e-4 of a number is lost at most where it is rounded.
    assert found[False][1] < 1e-5 < found[True][1] < 1e-1


@needs_litert
@pytest.mark.slow
def test_float16_rounds_many_numbers_and_not_single_ones(tmp_path):
    """0.1 and 1e12 are no numbers of float16, multiples of 2⁻⁷ up to 8 are; 1e-9 of them is 0."""
    kernel = np.random.default_rng(0).integers(-1024, 1024, [30, 40]) / 128
    small = (1e-9 * kernel).astype("float32")
    scales = np.where(np.arange(90) < 89, 1, 1e-9).astype("float32")

    def compute(*, x):
        y = tf.clip_by_value(x @ tf.constant(kernel, tf.float32), 0.1, 1e12)
        return {"y": y, "z": x @ tf.constant(small), "scaled": tf.tile(x, [1, 3]) * scales}

    spec = tf.TensorSpec([None, 30], tf.float32, "x")
    function = tf.function(compute, autograph=False).get_concrete_function(x=spec)
    x = np.random.default_rng(1).normal(0, 1e5, [5, 30]).astype("float32")
    requests = {half: Request(float16=half) for half in (True, False)}
    files = {half: litert._convert({"y": function}, r) for half, r in requests.items()}
    assert len(files[False]) - len(files[True]) > 2 * kernel.size - 600  # what describes them
    outputs = {half: litert._Runner(file).run("y", {"x": x}) for half, file in files.items()}
    for name in ("z", "scaled"):
        np.testing.assert_array_equal(outputs[True][name], outputs[False][name])
    found = {half: each["y"] for half, each in outputs.items()}
    np.testing.assert_array_equal(found[True], found[False])
    np.testing.assert_allclose(found[True], np.maximum(x @ kernel, 0.1), rtol=1e-5)
    assert found[True].max() > 65504 and found[True].min() == np.float32(0.1)


@needs_litert
@pytest.mark.slow
def test_int8_is_for_networks_that_do_not_adapt(tmp_path):
    path = tmp_path / "learner.tflite"
    body = keras.Sequential([keras.Input([400]), layers.Dense(300, "relu"), layers.Dense(20)])
    learner = meta_tf.MetaLearner(body, meta_tf.ProtoNet(3), SPARSE)
    sizes = []
    for int8 in (False, True):
        learner.export(path, "litert", shots=1, queries=6, int8=int8)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.4 * sizes[0]
    x, y, new = sets((400,), 3, 6)
    found = litert_signatures(path)["adapt_and_predict"](support_x=x, support_y=y, query_x=new)
    expected = learner.adapt(x, y).predict(new, verbose=0)
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found["predictions"], expected, rtol=0, atol=0.1 * largest)
    with pytest.raises(ValueError, match=r"`int8` needs .*Received: MAML.*float16=True"):
        learner_of().export(path, "litert", int8=True)
    with pytest.raises(ValueError, match=r"`float16` and `int8`.*choose one"):
        learner_of().export(path, "litert", int8=True, float16=True)


@needs_litert
@pytest.mark.slow
def test_photos_in_float16_is_the_same_to_a_thousandth_of_a_logit(tmp_path):
    """Its weights are numbers of float16, also after the converter has folded normalisations."""
    path = tmp_path / "photos.tflite"
    learner = meta_tf.pretrained("photos")
    learner.export(path, "litert", float16=True)
    assert path.stat().st_size < 7.5e6
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, [35, 8, 8, 3], np.uint8)  # five classes, each with its colours
    small[:, :4] = rng.integers(0, 256, [5, 4, 8, 3], np.uint8)[np.arange(35) % 5]
    pictures = small.repeat(28, 1).repeat(28, 2).astype("float32")
    x, y, new = pictures[:25], np.arange(25, dtype="int32") % 5, pictures[25:]
    expected = learner.adapt(x, y).predict(new, verbose=0)
    found = litert_signatures(path)["adapt_and_predict"](support_x=x, support_y=y, query_x=new)
    np.testing.assert_allclose(found["predictions"][:, :5], expected, rtol=0, atol=1e-3)


STACKS = {
    "activations": [layers.Conv2D(3, 3, activation=a) for a in ("gelu", "elu", "selu")],
    "more activations": [
        layers.Dense(3, activation=a) for a in ("softplus", "softsign", "tanh", "sigmoid", "relu6")
    ],
    "leaky": [layers.Conv2D(3, 3), layers.LeakyReLU(), layers.PReLU()],
    # Windows that overlap and reach over the edge: 3 wide, 2 apart, on 8 and on 4 pixels.
    "pooling": [
        layers.Conv2D(3, 1),
        layers.MaxPooling2D(3, 2, padding="same"),
        layers.AveragePooling2D(3, 2, padding="same"),
    ],
    "strides": [layers.Conv2D(3, 3, strides=2, padding="same"), layers.Conv2D(3, 2, strides=2)],
    "dilated": [layers.Conv2D(3, 3, dilation_rate=2)],
    "transposed": [layers.Conv2DTranspose(3, 3, strides=2)],
    "groups": [layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2)],
    "separable": [
        layers.SeparableConv2D(4, 3, strides=2, padding="same"),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
    ],
    "norms": [
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.GroupNormalization(2),
    ],
}


@needs_litert
@pytest.mark.parametrize("name", [slow_or_exhaustive(n, n in IN_CI) for n in STACKS])
def test_layers_are_written_with_their_gradients(name, tmp_path):
    keras.utils.set_random_seed(0)
    config = [layers.deserialize(layers.serialize(layer)) for layer in STACKS[name]]
    learner_of(*config).export(tmp_path / "learner.tflite", format="litert", shots=1, queries=6)
    assert (tmp_path / "learner.tflite").exists()  # it was compared, or it would not be there


@needs_litert
@pytest.mark.parametrize(
    ("stack", "shape", "named", "sizes"),
    [
        pytest.param(
            [layers.LSTM(3, name="memory")],
            (4, 2),
            ["TensorList", "memory", "unroll=True"],
            {"shots": 1, "queries": 6},
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            [layers.Masking(), layers.GRU(3, name="memory")],
            (4, 2),
            ["TensorList", "memory", "unroll=True"],
            {},
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            [layers.Conv3D(2, 3, name="volume")],
            (4, 4, 4, 1),
            ["Conv3D", "volume"],
            {"shots": 1, "queries": 6},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["lstm", "gru of any size", "conv3d"],
)
def test_what_litert_cannot_express_is_refused_by_its_name(stack, shape, named, sizes, tmp_path):
    path = tmp_path / "learner.tflite"
    path.write_text("an earlier one")
    with pytest.raises(ValueError, match=r"format='litert'.*Nothing was written") as caught:
        learner_of(*stack, shape=shape).export(path, format="litert", **sizes)
    for words in named:
        assert words in str(caught.value)
    assert path.read_text() == "an earlier one"


@needs_litert
@pytest.mark.slow
def test_ridge_regression_takes_sets_of_any_size(tmp_path):
    model = meta_tf.models.mlp(4, None, (6,))
    learner = meta_tf.MetaLearner(model, meta_tf.R2D2(3), SPARSE)
    path = tmp_path / "any.tflite"
    learner.export(path, format="litert")
    rng = np.random.default_rng(0)
    for support in (3, 5, 30):
        x, new = (rng.normal(size=[n, 4]).astype("float32") for n in (support, 4))
        task = {"support_x": x, "support_y": np.arange(support, dtype="int32") % 3}
        expected = learner.adapt(*task.values()).predict(new, verbose=0)
        found = litert_signatures(path)["adapt_and_predict"](**task, query_x=new)
        predictions = found["predictions"]
        np.testing.assert_allclose(predictions, expected, rtol=0, atol=1e-3)


@needs_litert
@pytest.mark.slow
def test_a_file_must_have_its_ending(tmp_path):
    with pytest.raises(ValueError, match=r"`filepath` must end in .tflite.*'.*learner'"):
        learner_of().export(tmp_path / "learner", format="litert")


@pytest.mark.parametrize("wrong", [{"shots": 0}, {"ways": 1.5}, {"queries": 0.5}])
def test_sizes_are_whole_numbers(wrong, tmp_path):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1"):
        learner_of().export(tmp_path / "learner.tflite", format="litert", **wrong)


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_rounded_weights_are_not_for_a_saved_model(weights, tmp_path):
    with pytest.raises(ValueError, match=f"`{weights}`"):
        learner_of().export(tmp_path / "saved_model", **{weights: True})


def test_without_the_extra_its_name_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(litert, "PACKAGES", ("no_such_package",))
    with pytest.raises(ImportError, match=r"no-such-package.*'\.\[litert\]'"):
        learner_of().export(tmp_path / "learner.tflite", format="litert")


@pytest.mark.parametrize("signature", ["adapt", "predict", "adapt_and_predict"])
@pytest.mark.parametrize("shift", [3e-4, np.nan])
def test_a_file_that_computes_something_else_is_refused(signature, shift):
    """The comparison itself, with TensorFlow in the place of the other runtime."""
    functions, tasks = three_functions(learner_of())

    def run(name, inputs):
        outputs = functions[name](**{n: tf.constant(a) for n, a in inputs.items()})
        outputs = {n: t.numpy() for n, t in outputs.items()}
        if name == signature:
            # A bias of all classes moves the predictions by as much as itself.
            wrong = outputs["net_head_bias" if name == "adapt" else "predictions"]
            wrong += shift * 2
        return outputs

    with pytest.raises(Refused, match=rf"outputs differ.* predictions \(of .*{signature}"):
        compare(run, functions, tasks, [(3, 2)], tolerance=1e-4)


def test_the_difference_is_that_of_the_predictions():
    functions, tasks = three_functions(learner_of())

    def run(name, inputs):
        outputs = functions[name](**{n: tf.constant(a) for n, a in inputs.items()})
        factor = 1 if name == "adapt" else 1 + 3e-4
        return {n: t.numpy() * factor for n, t in outputs.items()}

    assert compare(run, functions, tasks, [(3, 2)], 4e-4) == pytest.approx(3e-4, rel=1e-2)


def test_the_difference_of_a_table_is_in_standard_units():
    """Targets of 10⁶ ± 100: a hundredth of their deviation is 10⁻⁶ of the largest prediction."""
    loss = StandardizedLoss(keras.losses.MeanSquaredError(), [1e6], [100.0])
    model = keras.Sequential([keras.Input([2]), layers.Dense(1), layers.Rescaling(100.0, 1e6)])
    functions, tasks = three_functions(meta_tf.MetaLearner(model, meta_tf.MAML(0.01), loss), None)

    def shifted(deviations):
        def run(name, inputs):
            outputs = functions[name](**{n: tf.constant(a) for n, a in inputs.items()})
            return {
                n: t.numpy() + np.float32(100 * deviations if n == "predictions" else 0)
                for n, t in outputs.items()
            }

        return run

    for deviations in (0.0, 0.002):  # float32 has steps of 1/16 at 10⁶, so 0.2 are last bits
        assert compare(shifted(deviations), functions, tasks, [(3, 2)], 1e-4) == 0
    with pytest.raises(Refused, match="predictions"):
        compare(shifted(0.01), functions, tasks, [(3, 2)], 1e-4)


@pytest.mark.parametrize("shift, unseen", [(1.0, -1e9), (0.0, -100.0), (0.0, np.nan)])
def test_classes_without_an_example_do_not_hide_a_difference(shift, unseen):
    """Their logits are -1e9, beside which all others are small; -65504 says the same."""
    model = keras.Sequential([keras.Input((8, 8, 2)), layers.Flatten(), layers.Dense(3)])
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=9), SPARSE)
    functions, tasks = three_functions(learner)  # of three classes

    def changed(shift, unseen):
        def run(name, inputs):
            outputs = functions[name](**{n: tf.constant(a) for n, a in inputs.items()})
            outputs = {n: t.numpy() for n, t in outputs.items()}
            if name == "predict":
                outputs["predictions"] += shift
                outputs["predictions"][:, 3:] = unseen
            return outputs

        return run

    assert compare(changed(0.0, -65504.0), functions, tasks, [(3, 2)], 1e-4) == 0
    with pytest.raises(Refused, match="predict"):
        compare(changed(shift, unseen), functions, tasks, [(3, 2)], 1e-4)


def test_what_is_not_finite_is_not_compared():
    learner = learner_of()
    learner.model.get_layer("head").kernel.assign(np.full([128, 3], np.nan))
    functions, tasks = three_functions(learner)
    with pytest.raises(Refused, match="not finite"):
        compare(lambda name, inputs: {}, functions, tasks, [(3, 2)], 1e-4)


def three_functions(learner, classes=3):
    from meta_tf.export.signatures import Signatures
    from meta_tf.export.specs import input_specs, target_spec

    inputs = input_specs(learner.algorithm, learner.network, None)
    functions = Signatures(learner, inputs, target_spec(learner, inputs, None), 3, 2).three()
    return functions, RandomTasks(functions["adapt_and_predict"], learner, classes)


def test_sizes_follow_from_the_learner():
    inputs = tf.TensorSpec([None, 8, 8, 2])
    assert Request().ways_of(learner_of(), inputs) == 3  # the outputs
    assert Request(ways=2).ways_of(learner_of(), inputs) == 2
    with pytest.raises(ValueError, match=r"`ways` must be at most 3.*Received: 4\.$"):
        Request(ways=4).ways_of(learner_of(), inputs)
    request = Request(shots=2, queries=4)
    assert (request.support(3), request.sizes_to_try(3)) == (6, [(6, 4)])
    assert request.in_words(3) == "6 support examples and 4 queries in a call"
    assert Request(ways=2).support(2) == 2 and Request().support(3) is None
    # What is not chosen is tried at several sizes: 3 classes, one example of each or more.
    assert Request(queries=4).sizes_to_try(3) == [(3, 4), (9, 4), (7, 4)]
    assert Request(shots=1).sizes_to_try(3) == [(3, 6), (3, 1), (3, 7), (3, 2)]
    assert Request().in_words(3) == "support and query sets of any size"
    # Three tasks of each size must agree, or of large examples three in all.
    assert [Request().tasks_to_agree(5, numbers) for numbers in (784, 150_528)] == [3, 1]
    assert [Request().tasks_to_agree(1, numbers) for numbers in (784, 150_528)] == [3, 3]
    regression = meta_tf.MetaLearner(meta_tf.models.mlp(1, 2), meta_tf.MAML(), "mse")
    assert Request().ways_of(regression, tf.TensorSpec([None, 1])) == 1
    assert formats.FORMATS[0] == "tf_saved_model"
