"""What gave a wrong result without a word: each is now right, or refused in one sentence."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.evaluation.metrics import mse
from tests.learners import CE, as_dataset, make_batch, make_learner

layers = keras.layers


class Given:
    """A split of given batches, one after another without an end."""

    def __init__(self, x, y):
        self.batch = tf.nest.map_structure(tf.constant, (x, y))

    def batches(self, tasks, seed=0, start=0):
        while True:
            yield tf.nest.map_structure(lambda t: t[:tasks], self.batch)


def regressor(outputs=1, **options):
    model = keras.Sequential([keras.Input([3]), layers.Dense(outputs, name="head")])
    learner = meta_tf.MetaLearner(model, options.pop("algorithm", meta_tf.MAML(0.1)), "mse")
    learner.compile(keras.optimizers.SGD(0.01), jit_compile=False)
    return learner


def regression(outputs=1, tasks=4):
    x, _ = make_batch(tasks)
    x["support_y"] = np.ones([tasks, 5, outputs], "float32")
    return x, np.ones([tasks, 6, outputs], "float32")


def in_one_line(raised):
    text = str(raised.value)
    assert "\n" not in text.strip(), text
    assert "Graph execution error" not in text
    return text


def test_a_keras_metric_starts_anew_for_each_task():
    x, y = regression()
    y = y * np.arange(4, dtype="float32")[:, None, None]  # tasks of different errors
    learner = regressor()
    metric = keras.metrics.MeanSquaredError()
    metric.update_state([[1.0]], [[100.0]])  # what it has seen elsewhere has no say
    seen = float(metric.result())
    found = meta_tf.evaluate(learner, Given(x, y), 4, steps=1, metric=metric)
    predictions = learner.trajectory(x, steps=1)
    for k in (0, 1):
        np.testing.assert_allclose(found.per_task[:, k], mse(y, predictions[:, k]), rtol=1e-6)
    assert float(metric.result()) == seen
    assert found.metric == "mean_squared_error"


def test_a_keras_metric_that_makes_its_variables_late_works_too():
    metric = keras.metrics.F1Score(average="micro")
    x, y = make_batch()
    model = keras.Sequential([keras.Input([3]), layers.Dense(2)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), loss)
    x["support_y"] = np.eye(2, dtype="float32")[x["support_y"]]
    targets = np.eye(2, dtype="float32")[y]
    found = meta_tf.evaluate(learner, Given(x, targets), 4, steps=0, metric=metric)
    # Each example has one label and one answer, so the micro average is the accuracy.
    right = learner.trajectory(x, steps=0)[:, 0].numpy().argmax(-1) == y
    np.testing.assert_allclose(found.per_task[:, 0], right.mean(-1), rtol=1e-5)


def test_a_metric_of_several_numbers_is_refused():
    x, y = regression(outputs=2)
    with pytest.raises(ValueError, match="`metric` must give one number") as raised:
        metric = keras.metrics.R2Score(class_aggregation=None)
        meta_tf.evaluate(regressor(2), Given(x, y), 4, metric=metric)
    in_one_line(raised)


@pytest.mark.parametrize("algorithm", [meta_tf.MAML, meta_tf.MAMLPlusPlus])
def test_adaptation_that_diverges_tells_the_step(algorithm):
    # y = w x + b with x = y = 1e10: the first gradient is ~1e20, the next ~1e40, beyond float32.
    learner = regressor(algorithm=algorithm(inner_lr=1.0, inner_steps=5))
    x = np.full([2, 3], 1e10, "float32")
    with pytest.raises(ValueError, match=r"after inner step [12] of 5.*lower its `inner_lr`"):
        learner.adapt(x, x[:, :1])


def test_adaptation_from_weights_that_are_nan_says_so():
    learner = regressor()
    learner.model.layers[-1].kernel.assign(tf.fill([3, 1], np.nan))
    with pytest.raises(ValueError, match="The learner's own weights are not finite"):
        learner.adapt(np.ones([2, 3], "float32"), np.ones([2, 1], "float32"))


@pytest.mark.parametrize(
    ("shape", "dtype", "cure"),
    [
        ([], "float32", r"Add an axis: support_y\[..., None\]"),
        ([5], "float32", "would be broadcast"),
        ([], "int32", "For class numbers, use loss='sparse_categorical_crossentropy'"),
        ([1, 1], "float32", "would be broadcast"),
    ],
)
@pytest.mark.parametrize("call", ["fit", "evaluate", "predict", "adapt", "meta_tf.evaluate"])
def test_targets_that_would_broadcast_are_refused_everywhere(call, shape, dtype, cure):
    x, y = regression()
    learner = regressor()
    x["support_y"] = np.ones([4, 5, *shape], dtype)
    with pytest.raises(ValueError, match=rf"`support_y` must be \[.*S, 1\].*{cure}") as raised:
        if call == "adapt":
            learner.adapt(x["support_x"][0], x["support_y"][0])
        elif call == "meta_tf.evaluate":
            meta_tf.evaluate(learner, Given(x, y), 4)
        elif call == "predict":
            learner.predict(x, verbose=0)
        else:
            getattr(learner, call)(as_dataset(x, y), verbose=0)
    in_one_line(raised)


@pytest.mark.parametrize("loss", ["mae", "huber", keras.losses.LogCosh(), "poisson", "dice"])
def test_other_losses_of_keras_do_not_broadcast_either(loss):
    model = keras.Sequential([keras.Input([3]), layers.Dense(2, "softplus")])
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), loss)
    with pytest.raises(ValueError, match=r"`support_y` must be \[S, 2\]"):
        learner.adapt(np.ones([5, 3], "float32"), np.ones([5, 1], "float32"))


def test_a_loss_of_ones_own_takes_the_targets_that_it_likes():
    model = keras.Sequential([keras.Input([3]), layers.Dense(2)])

    def likelihood(y, p):  # of a Gaussian, by mean and log of the width
        return p[..., 1] + tf.square((y - p[..., 0]) / tf.exp(p[..., 1])) / 2

    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.01), likelihood)
    fitted = learner.adapt(np.ones([5, 3], "float32"), np.ones([5], "float32"))
    assert fitted(np.ones([1, 3], "float32")).shape == (1, 2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1], [0, 1]], "`support_y` must be.*argmax"),
        ([[0], [1]], r"`support_y` must be class numbers \[S\].*Drop the last axis"),
        ([0.5, 1.0], "`support_y` must hold class numbers.*0.5, 1.0"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(labels, message):
    with pytest.raises(ValueError, match=message) as raised:
        make_learner().adapt(np.zeros([2, 3], "float32"), labels)
    in_one_line(raised)


@pytest.mark.parametrize(("call", "name"), [("fit", "query_y"), ("evaluate", "support_y")])
def test_labels_between_two_classes_are_refused_in_training(call, name):
    x, y = make_batch()
    x["query_y"] = y
    x[name] = x[name] + 0.5
    with pytest.raises(ValueError, match=rf"`{name}` must hold class numbers.*\.5") as raised:
        getattr(make_learner(), call)(as_dataset(x, x.pop("query_y")), verbose=0)
    in_one_line(raised)


@pytest.mark.parametrize("empty", ["tasks", "support", "query"])
@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_empty_sets_are_refused(call, empty):
    x, y = make_batch()
    if empty == "tasks":
        x, y = {k: v[:0] for k, v in x.items()}, y[:0]
    elif empty == "support":
        x = {**x, "support_x": x["support_x"][:, :0], "support_y": x["support_y"][:, :0]}
    else:
        x, y = {**x, "query_x": x["query_x"][:, :0]}, y[:, :0]
    with pytest.raises(ValueError, match="at least one task of at least one example"):
        getattr(make_learner(), call)(x, *[y] * (call != "predict"), verbose=0)


@pytest.mark.parametrize("limits", [(0, np.inf), (-np.inf, 0), (np.nan, 1), (2, 1), (1,), 3, "ab"])
@pytest.mark.parametrize("name", ["amplitude", "phase", "x_range"])
def test_ranges_of_a_formula_are_two_finite_numbers(name, limits):
    with pytest.raises(ValueError, match=f"`{name}` must be a pair .* of finite numbers"):
        meta_tf.tasks.Sinusoid(**{name: limits})


def test_pixels_are_refused_where_the_model_takes_floats():
    x, y = make_batch()
    pixels = (x["support_x"][0] * 255).astype("uint8")
    with pytest.raises(ValueError, match=r"`support_x` must be floats.*uint8.*Scale them"):
        make_learner().adapt(pixels, x["support_y"][0])
    with pytest.raises(ValueError, match=r"`query_x` must be floats.*uint8"):
        make_learner().fit(as_dataset({**x, "query_x": x["query_x"].astype("uint8")}, y), verbose=0)
    fitted = make_learner().adapt(x["support_x"][0], x["support_y"][0])
    with pytest.raises(ValueError, match=r"`x` must be floats.*uint8"):
        fitted.predict(pixels, verbose=0)


@pytest.mark.parametrize("declared", [True, False])
def test_pixels_are_taken_where_the_model_says_so(declared):
    first = [keras.Input([3], dtype="uint8")] if declared else [keras.Input([3])]
    scaled = [layers.Rescaling(1 / 255), layers.Dense(2)]
    model = keras.Sequential([*first, *scaled])
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), CE)
    pixels = np.arange(6, dtype="uint8").reshape(2, 3)
    fitted = learner.adapt(pixels, [0, 1])
    floats = keras.Sequential([keras.Input([3]), layers.Dense(2)])
    floats.set_weights(model.get_weights())
    other = meta_tf.MetaLearner(floats, meta_tf.MAML(0.1), CE)
    scaled = pixels.astype("float32") / 255
    expected = other.adapt(scaled, [0, 1])(scaled)
    np.testing.assert_allclose(fitted(pixels), expected, rtol=1e-5)


def test_adapting_does_not_depend_on_earlier_calls():
    def any_rank(y, p):
        return tf.reduce_mean(tf.square(tf.reshape(y, [-1]) - tf.reshape(p, [-1])))

    x = np.ones([5, 3], "float32")
    learner = make_learner(keras.Sequential([keras.Input([3]), layers.Dense(1)]), loss=any_rank)
    found = [learner.adapt(x, np.ones(shape, "float32"))(x) for shape in ([5, 1], [5], [5, 1, 1])]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_gradients_are_accumulated_over_steps():
    # Two accumulated steps of plain SGD are one step by the mean of the two gradients.
    x, y = make_batch()
    plain = make_learner()
    before = plain.get_weights()
    gradient = []
    for half in (slice(0, 2), slice(2, 4)):
        plain.set_weights(before)
        plain.train_on_batch({k: v[half] for k, v in x.items()}, y[half])
        gradient.append([b - a for a, b in zip(plain.get_weights(), before, strict=True)])
    mean = [(a + b) / 2 for a, b in zip(*gradient, strict=True)]
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    learner = make_learner(optimizer=optimizer)
    learner.set_weights(before)
    for half in (slice(0, 2), slice(2, 4)):
        learner.train_on_batch({k: v[half] for k, v in x.items()}, y[half])
    for now, old, step in zip(learner.get_weights(), before, mean, strict=True):
        if now.dtype == "float32":
            np.testing.assert_allclose(now, old - step, atol=1e-6)


def test_a_label_beyond_the_ways_is_refused_by_an_export(tmp_path):
    make_learner().export(tmp_path / "saved")
    learn = tf.saved_model.load(tmp_path / "saved").signatures["adapt_and_predict"]
    x = tf.zeros([2, 3])
    assert learn(support_x=x, support_y=tf.constant([0, 1]), query_x=x)["predictions"].shape[0] == 2
    for labels in ([0, 2], [-1, 0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`support_y` must hold class"):
            learn(support_x=x, support_y=tf.constant(labels), query_x=x)


def test_an_export_is_loaded_without_warnings(tmp_path, caplog):
    # Step for step in a loop, and batch normalisation: both have gradients of their own.
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(2, 3),
            layers.BatchNormalization(),
            layers.Activation("silu"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1, 3, unroll=0), CE)
    learner.export(tmp_path / "saved")
    caplog.clear()
    learn = tf.saved_model.load(tmp_path / "saved").signatures["adapt_and_predict"]
    assert not caplog.records
    x = tf.random.stateless_normal([2, 8, 8, 1], [0, 1])
    expected = learner.adapt(x, [0, 1])(x)
    labels = tf.constant([0, 1])
    found = learn(support_x=x, support_y=labels, query_x=x)["predictions"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_cross_entropy_by_name_needs_a_model_of_probabilities(name):
    logits = keras.Sequential([keras.Input([3]), layers.Dense(2)], name="mine")
    with pytest.raises(ValueError, match=r"`loss` must fit.*'mine'.*from_logits=True"):
        meta_tf.MetaLearner(logits, loss=name)
    layered = keras.Sequential([keras.Input([3]), layers.Dense(2), layers.Softmax()])
    for model in (keras.Sequential([keras.Input([3]), layers.Dense(2, "softmax")]), layered):
        meta_tf.MetaLearner(model, loss=name)


@pytest.mark.parametrize(
    ("activation", "from_logits"), [("softmax", True), ("linear", False), ("sigmoid", True)]
)
def test_a_cross_entropy_of_the_other_kind_is_refused(activation, from_logits):
    inputs = keras.Input([3])
    model = keras.Model(inputs, layers.Dense(2, activation)(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    with pytest.raises(ValueError, match=f"`loss` must fit.*ends in {activation}"):
        meta_tf.MetaLearner(model, loss=loss)


def test_what_a_model_does_not_tell_is_taken_from_an_object_alone():
    inputs = keras.Input([3])
    model = keras.Model(inputs, layers.Reshape([2])(layers.Dense(2)(inputs)))
    meta_tf.MetaLearner(model, loss=keras.losses.SparseCategoricalCrossentropy())
    meta_tf.MetaLearner(model, loss=CE)
    with pytest.raises(ValueError, match="has an unknown last activation"):
        meta_tf.MetaLearner(model, loss="sparse_categorical_crossentropy")


@keras.saving.register_keras_serializable("wrong_input")
@dataclasses.dataclass(frozen=True)
class MovesNothing(meta_tf.MAML):
    """An algorithm that says that something moves, and moves nothing."""

    def moving(self, network):
        return {"count": tf.zeros([])}


def test_an_algorithm_that_overrides_moving_alone_is_told_what_is_missing():
    with pytest.raises(ValueError, match=r"MovesNothing.meta_gradients must return.*count"):
        make_learner(algorithm=MovesNothing(0.1)).fit(as_dataset(*make_batch()), verbose=0)
