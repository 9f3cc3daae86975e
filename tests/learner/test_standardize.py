"""`MetaLearner.standardize`: numbers in any units learn as if they were scaled by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.layers import Masking, Normalization

import meta_tf
from meta_tf.layers.table_columns import MISSING
from meta_tf.network.standardized import statistics_of
from meta_tf.network.standardized_loss import StandardizedLoss
from tests.exported import litert_signatures, needs_litert, needs_onnx, run_onnx
from tests.marks import exhaustive, slow

GROUPS = np.repeat(np.arange(15), 8)
RNG = np.random.default_rng(0)
# Years, farads and euros; a target in kelvin.
X = np.stack([RNG.normal(m, d, 120) for m, d in ((2020, 3), (1e-9, 1e-10), (5e4, 1e4))], 1)
X = X.astype(np.float32)
NOISE = RNG.normal(size=120)
Y = 300 + 10 * np.sin(X[:, 0] + GROUPS) + NOISE
CLASSES = np.arange(120) % 2
LISTS = (range(9), range(9, 12), range(12, 15))
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def source(x=X, y=Y):
    return meta_tf.tasks.from_groups(x, y, GROUPS, shots=2, queries=2, split=LISTS)


def model(outputs=1):
    return meta_tf.models.mlp(3, outputs, (6,), "tanh", "glorot_uniform")


def gaussian_model():
    return keras.Sequential([keras.Input([3]), *model(2).layers, meta_tf.MeanAndScale()])


def functional():
    inputs = keras.Input([3])
    body = keras.layers.Dense(4, "tanh")(inputs)
    joined = keras.layers.Concatenate()([body, inputs])
    return keras.Model(inputs, keras.layers.Dense(1)(joined), name="net")


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(1)
        self.build((None, 3))

    def build(self, shape):
        self.dense.build(shape)
        super().build(shape)

    def call(self, x):
        return self.dense(x)


REGRESSIONS = {
    "maml": (meta_tf.MAML(0.1, 2), model),
    "in context": (meta_tf.InContext(width=4, blocks=1, heads=1), lambda: model(None)),
    "alpaca": (meta_tf.ALPaCA(), lambda: model(None), meta_tf.GaussianLoss()),
    "gaussian": (meta_tf.MAML(0.1, 2), gaussian_model, meta_tf.GaussianLoss()),
    "functional": (meta_tf.MAML(0.1, 2), functional),
    "subclassed": (meta_tf.MAML(0.1, 2), Subclassed),
    "a long loop": (meta_tf.MAML(0.05, 3, unroll=0), model),
    "meta-sgd": (meta_tf.MetaSGD(inner_lr=0.1), model),
    "meta-curvature": (meta_tf.MetaCurvature(inner_lr=0.1), model),
    "imaml": (meta_tf.IMAML(0.05, 2), model),
    "reptile": (meta_tf.Reptile(0.1, 2), model),
    "maml++": (meta_tf.MAMLPlusPlus(0.1, 2), model),
}
CLASSIFICATIONS = {
    "protonet": (meta_tf.ProtoNet(2), lambda: model(None)),
    "protomaml": (meta_tf.ProtoMAML(0.1, 2), lambda: model(2)),
    "r2d2": (meta_tf.R2D2(2), lambda: model(None)),
    "matching": (meta_tf.MatchingNet(2), lambda: model(None)),
    "logistic": (meta_tf.LogisticRegression(2), lambda: model(None)),
    "in context, classes": (meta_tf.InContext(2, width=4, blocks=1, heads=1), lambda: model(None)),
}


# What of these needs something of its own: a Gaussian, a model that is no chain.
OWN_WAYS = ("alpaca", "gaussian", "subclassed")


def learner_of(algorithm, make, loss):
    keras.utils.set_random_seed(0)
    learner = meta_tf.MetaLearner(make(), algorithm, loss)
    learner.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    return learner


def by_hand(values):
    """Values of mean 0 and deviation 1 over the training groups, and the two numbers."""
    rows = np.asarray(values[GROUPS < 9], np.float64)
    mean, deviation = rows.mean(0), rows.std(0)
    return (values - mean) / deviation, mean, deviation


@pytest.mark.parametrize(
    "name",
    [
        "protonet",
        *map(slow, OWN_WAYS),
        *map(exhaustive, sorted((REGRESSIONS | CLASSIFICATIONS).keys() - {"protonet", *OWN_WAYS})),
    ],
)
def test_every_algorithm_learns_the_same_as_from_numbers_scaled_by_hand(name):
    regression = name in REGRESSIONS
    y = Y if regression else CLASSES
    case = (*(REGRESSIONS | CLASSIFICATIONS)[name], "mse" if regression else SPARSE)[:3]
    raw, scaled = learner_of(*case), learner_of(*case)
    raw.standardize(source(y=y).train)
    x_scaled, _, _ = by_hand(X)
    y_scaled, mean, deviation = by_hand(Y) if regression else (y, 0.0, 1.0)
    batch = next(iter(source(y=y).train.batches(4)))
    batch_scaled = next(iter(source(x_scaled, y_scaled).train.batches(4)))

    if name in ("maml", "reptile", "imaml", "maml++"):  # each has a meta-gradient of its own
        losses = [a.train_on_batch(*b) for a, b in ((raw, batch), (scaled, batch_scaled))]
        np.testing.assert_allclose(*losses, rtol=2e-3)
    expected = scaled.predict_on_batch(batch_scaled[0])
    shift = [mean, 0.0] if expected.shape[-1] == 2 and regression else mean  # a scale has none
    expected = shift + deviation * expected
    found = raw.predict_on_batch(batch[0])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * deviation)


@pytest.fixture(scope="module")
def trained():
    learner = learner_of(*REGRESSIONS["maml"], "mse")
    learner.standardize(source().train)
    learner.fit(source().train.batches(4), steps_per_epoch=3, verbose=0, shuffle=False)
    return learner


@pytest.fixture(scope="module")
def evaluated(trained):
    """The first test group, and the error of it that `evaluate` says."""
    whole = source().test.whole_groups()
    x, y = next(iter(whole.batches()))
    task = {name: t[0].numpy() for name, t in x.items()}
    return task, y[0].numpy(), meta_tf.evaluate(trained, whole, len(whole)).per_task[0, -1]


def error_of(predictions, y):
    return pytest.approx(float(np.mean(np.square(predictions - y))), rel=1e-4)


def test_raw_rows_through_every_file_have_the_evaluated_error(trained, evaluated, tmp_path):
    task, y, error = evaluated
    fitted = trained.adapt(task["support_x"], task["support_y"])
    assert error == error_of(fitted.predict(task["query_x"], verbose=0), y)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.models.load_model(tmp_path / "fitted.keras")
    assert error == error_of(loaded.predict(task["query_x"], verbose=0), y)
    trained.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    again = loaded.adapt(task["support_x"], task["support_y"])
    assert error == error_of(again.predict(task["query_x"], verbose=0), y)
    trained.export(tmp_path / "saved_model")
    run = tf.saved_model.load(tmp_path / "saved_model").signatures["adapt_and_predict"]
    assert error == error_of(run(**task)["predictions"], y)


@pytest.mark.slow
@needs_litert
def test_raw_rows_through_litert(trained, evaluated, tmp_path):
    task, y, error = evaluated
    path = tmp_path / "learner.tflite"
    trained.export(path, "litert", shots=2, queries=6)
    run = litert_signatures(path)["adapt_and_predict"]
    assert error == error_of(run(**task)["predictions"], y)


@pytest.mark.slow
@needs_onnx
def test_raw_rows_through_onnx(trained, evaluated, tmp_path):
    task, y, error = evaluated
    trained.export(tmp_path / "learner", "onnx", shots=2, queries=6)
    path = tmp_path / "learner" / "adapt_and_predict.onnx"
    assert error == error_of(run_onnx(path, task)["predictions"], y)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_numbers_that_half_precision_cannot_hold_are_scaled_before_it(policy):
    keras.config.set_dtype_policy(policy)
    learner = meta_tf.MetaLearner(model(), meta_tf.MAML(0.1), "mse")
    learner.standardize(source().train)
    first = learner.model.layers[0](tf.constant(X))
    np.testing.assert_allclose(first, by_hand(X)[0], rtol=0, atol=1e-3)
    assert learner.model(tf.constant(X)).dtype == tf.float32


def test_the_loss_is_that_of_standard_units_and_comes_back_from_its_config():
    y, p = tf.constant([[320.0], [310.0]]), tf.constant([[300.0], [305.0]])
    # (20 / 10)² = 4 and (5 / 10)² = 0.25; the mean or the sum of the two.
    for reduction, expected in (("sum_over_batch_size", 2.125), ("sum", 4.25)):
        base = keras.losses.MeanSquaredError(reduction)
        loss = StandardizedLoss(base, [300.0], [10.0])
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert float(loss(y, p)) == float(again(y, p)) == expected
        assert again.reduction == reduction


def test_numbers_that_are_all_the_same_are_left_at_their_scale():
    constant = np.full([120, 1], 0.1, np.float32)
    found = statistics_of("x", np.concatenate([constant, X[:, :1]], 1))
    assert found.deviation[0] == 1
    assert found.mean[0] == pytest.approx(0.1)


def test_gaps_do_not_count_and_change_nothing_for_other_columns():
    rng = np.random.default_rng(0)
    values = np.stack([np.full(50_000, 0.1), rng.normal(1e5, 1, 50_000)], 1).astype(np.float32)
    gaps = rng.random(50_000) < 0.2
    with_gaps = np.stack([*values.T, np.where(gaps, MISSING, values[:, 1]), 0 * gaps + MISSING], 1)
    mean, deviation = statistics_of("x", with_gaps.astype(np.float32))
    known = values[~gaps, 1].astype(np.float64)
    expected = [*values.mean(0, np.float64), known.mean(), 0]
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    expected = [1, values[:, 1].astype(np.float64).std(), known.std(), 1]
    np.testing.assert_allclose(deviation, expected, rtol=1e-9)


def test_other_parts_are_standardized_by_a_sample():
    part = meta_tf.tasks.Sinusoid().train  # x is uniform on -5 ... 5
    learner = learner_of(meta_tf.MAML(), lambda: meta_tf.models.mlp(), "mse")
    learner.standardize(part)
    scale = learner.model.layers[0].scale
    assert 1 / scale[0] == pytest.approx(10 / np.sqrt(12), rel=0.02)


WRONG = [
    ({"split": "train"}, "`split` must be a split of a source of tasks"),
    ({"split": source()}, "`split` must be a split of a source of tasks"),
    ({"targets": 1}, "`targets` must be True or False"),
    ({"split": source(x=np.arange(120)[:, None]).train}, "`x` must be floats to be standardized"),
    (
        {"split": source(x=X[:, :2]).train},
        r"examples have: \(2,\). Received: 'mlp', which takes \[3",
    ),
    ({"split": source(y=1e-35 * Y).train}, "`y` must be finite, with standard deviations between"),
    ({"loss": "poisson"}, r"`loss` must mean the same.*Received: 'poisson'.*targets=False"),
    ({"loss": keras.losses.MeanAbsolutePercentageError()}, "'mean_absolute_percentage_error'"),
]


@pytest.mark.parametrize("layer", [Masking(0.0), Normalization(mean=9, variance=1)])
def test_layers_of_unscaled_inputs_are_rejected(layer):
    """A padding of 0 would become -mean / deviation, and be learned."""
    dense, inner = keras.layers.Dense(1), keras.Sequential([keras.Input([3]), layer])
    own = keras.Sequential([keras.Input([3]), inner, dense])
    wrong = f"with {type(layer).__name__}, which would get standard"
    for model in (own, keras.Model(own.inputs, own.outputs)):
        learner = meta_tf.MetaLearner(model, meta_tf.MAML(), "mse")
        with pytest.raises(ValueError, match=wrong):
            learner.standardize(source().train)
    hidden = keras.Sequential([keras.Input([3]), keras.layers.Dense(3), layer, dense])
    meta_tf.MetaLearner(hidden, meta_tf.MAML(), "mse").standardize(source().train)


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_standardized_is_rejected(change, message):
    given = {"loss": "mse", "split": source().train, **change}
    learner = meta_tf.MetaLearner(model(), meta_tf.MAML(), given.pop("loss"))
    with pytest.raises(ValueError, match=message):
        learner.standardize(**given)


def test_standardizing_twice_is_rejected_and_the_given_model_does_not_change():
    own = model()
    learner = meta_tf.MetaLearner(own, meta_tf.MAML(), "mse")
    learner.standardize(source().train)
    assert len(own.layers) == 2
    assert learner.trainable_variables[0] is own.trainable_variables[0]
    with pytest.raises(ValueError, match="must not be standardized already"):
        learner.standardize(source().train)


@pytest.mark.parametrize("loss", ["poisson", SPARSE])
def test_targets_can_stay_as_they_are(loss):
    y = Y if loss == "poisson" else CLASSES
    learner = meta_tf.MetaLearner(model(1 if loss == "poisson" else 2), meta_tf.MAML(), loss)
    before = learner.network.loss
    learner.standardize(source(y=y).train, targets=False)
    assert [layer.name for layer in learner.model.layers] == ["standardize", "dense1", "head"]
    assert learner.network.loss is before
