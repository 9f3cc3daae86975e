"""Masks of Keras, and classes that a loss ignores, count here as they do in Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.evaluation.metrics import TaskInterval
from meta_tf.network.masks import mask_of, masked_mean
from meta_tf.network.network import Network

layers = keras.layers
CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
WORDS = RNG.integers(1, 9, [2, 4, 3])  # [T, S, length]
WORDS[:, 1:, 2] = 0  # all but the first sentence are shorter
TAGS = RNG.integers(0, 3, [2, 4, 3])


class Tagger(keras.Model):
    def __init__(self):
        super().__init__(name="tagger")
        self.embed = layers.Embedding(9, 4, mask_zero=True)
        self.head = layers.Dense(3, name="head")

    def call(self, x):
        return self.head(self.embed(x))


def tagger(*more):
    return keras.Sequential(
        [
            keras.Input([None], dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            *more,
            layers.Dense(3, name="head"),
        ],
        name="tagger",
    )


def padded(a, by=2):
    return np.pad(a, ((0, 0),) * (a.ndim - 1) + ((0, by),))


def batch(pad=lambda a: a):
    x = {"support_x": pad(WORDS), "support_y": pad(TAGS), "query_x": pad(WORDS[:, ::-1])}
    return x, pad(TAGS[:, ::-1])


def part(x, y):
    class Split:
        def batches(self, tasks, seed=0):
            yield x, y

    return Split()


def subclassed():
    model = Tagger()
    model(WORDS[0])
    return model


def of_floats():
    # Rows of a single number are masked where it is 0.
    return keras.Sequential(
        [keras.Input([None, 1]), layers.Masking(), layers.Dense(3, "tanh"), layers.Dense(1)]
    )


@pytest.mark.parametrize(
    ("make", "loss", "y"),
    [
        (tagger, CE, TAGS[0]),
        (subclassed, CE, TAGS[0]),
        (tagger, keras.losses.SparseCategoricalCrossentropy(True, reduction="sum"), TAGS[0]),
        (tagger, keras.losses.MeanSquaredError(), np.eye(3, dtype="float32")[TAGS[0]]),
        (tagger, lambda y, p: keras.ops.mean(abs(y - p), -1), np.eye(3, dtype="float32")[TAGS[0]]),
        (of_floats, "mse", TAGS[0][..., None].astype("float32")),
        (tagger, keras.losses.SparseCategoricalCrossentropy(True, ignore_class=1), TAGS[0]),
        (tagger, keras.losses.SparseCategoricalCrossentropy(True, ignore_class=-1), TAGS[0] - 1),
        (
            tagger,
            keras.losses.SparseCategoricalCrossentropy(True, ignore_class=-1),
            TAGS[0] * 0 - 1,
        ),
    ],
)
def test_a_loss_counts_what_keras_counts(make, loss, y):
    model = make()
    x = WORDS[0] if make is not of_floats else WORDS[0][..., None].astype("float32")
    model.compile("sgd", loss)
    network = Network(model, loss)
    value, predictions, _ = network.query_loss(network.weights, meta_tf.types.Examples(x, y))
    np.testing.assert_allclose(value, model.evaluate(x, y, verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(mask_of(predictions), WORDS[0] != 0)


def test_padding_changes_neither_what_is_learned_nor_what_is_measured():
    # One step beyond `unroll`: the mask is made again on the way back.
    learner = meta_tf.MetaLearner(tagger(), meta_tf.MAML(0.5, 1, unroll=0), CE)
    learner.compile("sgd", jit_compile=False, metrics=["accuracy"])
    start, found = learner.get_weights(), []
    for pad in (lambda a: a, padded):
        learner.set_weights(start)
        x, y = batch(pad)
        logs = learner.train_on_batch(x, y, return_dict=True)
        found.append([*logs.values(), *map(np.sum, learner.model.get_weights())])
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_the_phases_of_mamlpp_hand_a_mask_on():
    network = Network(tagger(), CE)
    algorithm = meta_tf.MAMLPlusPlus(0.5, 1, learned_lr=None)
    support = meta_tf.types.Examples(tf.constant(WORDS[0]), tf.constant(TAGS[0]))

    @tf.function(autograph=False)
    def mask(iteration):
        weights = network.weights
        result = algorithm.meta_gradients(network, weights, support, support, iteration=iteration)
        return mask_of(result.predictions)

    np.testing.assert_array_equal(mask(tf.constant(0)), WORDS[0] != 0)


@pytest.mark.parametrize("sizes", [pytest.param(False, marks=pytest.mark.slow), True])
def test_metrics_count_what_keras_counts(sizes):
    # Without inner steps the learner is its model, and a batch of tasks a batch of sentences. Of
    # tasks of different sizes Keras sees the sentences that are real.
    model, (x, y) = tagger(), batch()
    real = np.ones([2, 4], bool)
    if sizes:
        x |= {"support_size": np.array([4, 4]), "query_size": np.array([4, 2])}
        real[1, 2:] = False
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(eval_steps=0), CE)
    learner.compile("sgd", metrics=["accuracy", TaskInterval("accuracy")])
    model.compile("sgd", CE, metrics=["accuracy"])
    loss, accuracy, interval = learner.evaluate(x, y, verbose=0)
    words, tags = x["query_x"], y
    each = np.array(
        [model.evaluate(w[r], t[r], verbose=0) for w, t, r in zip(words, tags, real, strict=True)]
    )
    np.testing.assert_allclose(loss, each[:, 0].mean(), rtol=1e-5)
    # A mean of Keras weighs an example, here a task, by the share of it that counts.
    shares = [(w[r] != 0).mean() for w, r in zip(words, real, strict=True)]
    np.testing.assert_allclose(accuracy, np.average(each[:, 1], weights=shares), rtol=1e-5)
    if not sizes:
        together = model.evaluate(words.reshape(8, 3), tags.reshape(8, 3), verbose=0)
        np.testing.assert_allclose(accuracy, together[1], rtol=1e-5)
        spread = 1.96 * each[:, 1].std(ddof=1) / np.sqrt(2)
        np.testing.assert_allclose(interval, spread, rtol=1e-5)
    others = [keras.metrics.sparse_categorical_accuracy, keras.metrics.SparseCategoricalAccuracy()]
    for metric in ["loss", "accuracy", *others][: 1 if sizes else 4]:
        expected = each[:, 0 if metric == "loss" else 1]
        result = meta_tf.evaluate(learner, part(x, y), 2, 0, metric=metric, verbose=0)
        np.testing.assert_allclose(result.per_task[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("batch_with", [pytest.param("none", marks=pytest.mark.slow), "support"])
def test_a_mask_stays_when_other_examples_share_the_batch(batch_with):
    # Scale and shift of batch norm keep what was zero: only the mask tells of padding.
    learner = meta_tf.MetaLearner(tagger(layers.BatchNormalization()), meta_tf.MAML(0.5), CE)
    values = [
        meta_tf.evaluate(
            learner, part(*batch(pad)), 2, metric="loss", batch_with=batch_with, verbose=0
        ).per_task
        for pad in (lambda a: a, padded)
    ]
    np.testing.assert_allclose(*values, rtol=1e-4)


def test_an_adapted_model_is_measured_as_keras_measures():
    learner = meta_tf.MetaLearner(tagger(), meta_tf.MAML(0.5), CE)
    fitted = learner.adapt(WORDS[0], TAGS[0])
    plain = tagger()
    plain.set_weights(fitted.get_weights())
    found = []
    for model in (fitted, plain):
        model.compile("sgd", CE, metrics=["accuracy"])
        found.append(model.evaluate(padded(WORDS[0]), padded(TAGS[0]), verbose=0))
    np.testing.assert_allclose(*found, rtol=1e-5)


def two_of(x, y):
    x, y = np.stack([x, x]), np.stack([y, y])
    return {"support_x": x, "support_y": y, "query_x": x}, y


def test_labels_besides_the_ignored_one_are_checked():
    learner = meta_tf.MetaLearner(
        meta_tf.models.mlp(3, 3, ()),
        meta_tf.MAML(),
        keras.losses.SparseCategoricalCrossentropy(True, ignore_class=255),
    )
    learner.compile("sgd", jit_compile=False)
    x, y = np.eye(3, dtype="float32"), np.array([0, 255, 2])
    learner.adapt(x, y)
    result = meta_tf.evaluate(learner, part(*two_of(x, y)), 2, 0, metric="accuracy", verbose=0)
    right = learner.model(x).numpy().argmax(-1) == y
    np.testing.assert_allclose(result.mean[0], right[[0, 2]].mean(), rtol=1e-6)
    batch = {"support_x": x[None], "support_y": y[None], "query_x": x[None]}
    learner.fit(batch, y[None], verbose=0)
    with pytest.raises(ValueError, match="below 3"):
        learner.adapt(x, y + 1)
    with pytest.raises(ValueError, match="below 3"):
        learner.fit(batch, y[None] + 1, verbose=0)


@pytest.mark.parametrize("algorithm", [meta_tf.ProtoNet(ways=3), meta_tf.ProtoMAML()])
def test_algorithms_that_use_labels_directly_reject_masks_and_ignored_classes(algorithm):
    loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=0)
    with pytest.raises(ValueError, match=r"must not ignore a class.*ignore_class=0"):
        meta_tf.MetaLearner(meta_tf.models.mlp(3, 3, ()), algorithm, loss)
    inputs = keras.Input([3])
    model = keras.Model(inputs, layers.Dense(3, name="head")(layers.Masking()(inputs)))
    learner = meta_tf.MetaLearner(model, algorithm, CE)
    with pytest.raises(ValueError, match="must not mask examples"):
        learner.adapt(np.eye(3, dtype="float32"), np.arange(3))


def test_a_loss_that_averages_over_what_is_masked_is_refused():
    values, mask = tf.ones([4]), tf.ones([4, 3], tf.bool)
    with pytest.raises(ValueError, match=r"value for each entry of the mask.*\(4, 3\).*\(4,\)"):
        masked_mean(values, mask)
