"""A loss that does not fit what an algorithm predicts is an error of the constructor."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf

layers, losses = keras.layers, keras.losses
CE = losses.SparseCategoricalCrossentropy(from_logits=True)
SMALL = {"width": 2, "blocks": 1, "heads": 1}


def model(outputs=3, activation=None, name="net"):
    head = layers.Dense(outputs, activation, name="head")
    return keras.Sequential([keras.Input([2]), head], name=name)


CLASSIFIERS = {
    "ProtoMAML": meta_tf.ProtoMAML(),
    "ProtoNet": meta_tf.ProtoNet(3),
    "MatchingNet": meta_tf.MatchingNet(3),
    "R2D2": meta_tf.R2D2(3),
    "LogisticRegression": meta_tf.LogisticRegression(3),
    "InContext": meta_tf.InContext(ways=3, **SMALL),
    "votes": meta_tf.InContext(ways=3, answer="votes", **SMALL),
}
# Of numbers, of one-hot targets, of other classes than one of several, of distributions.
NOT_OF_CLASSES = [
    "mse",
    losses.Huber(),
    losses.CategoricalCrossentropy(from_logits=True),
    losses.BinaryCrossentropy(from_logits=True),
    losses.Circle(),
    meta_tf.GaussianLoss(),
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_algorithm_that_classifies_takes_a_loss_of_class_numbers(name):
    algorithm = CLASSIFIERS[name]
    learner = meta_tf.MetaLearner(model(), algorithm, CE)
    learner.algorithm = algorithm
    meta_tf.MetaLearner(model(), algorithm, lambda y, predicted: predicted[:, 0])
    for loss in NOT_OF_CLASSES:
        with pytest.raises(
            ValueError,
            match=f"`loss` must compare class numbers .* {type(algorithm).__name__}, which .*"
            r"Received: \w+\. Pass loss=keras.losses.Sparse",
        ):
            meta_tf.MetaLearner(model(), algorithm, loss)


@pytest.mark.parametrize("algorithm", [meta_tf.ALPaCA(), meta_tf.InContext(**SMALL)])
def test_an_algorithm_for_regression_takes_no_class_numbers(algorithm):
    with pytest.raises(ValueError, match=r"GaussianLoss\(\) for ALPaCA|`ways` must be the number"):
        meta_tf.MetaLearner(model(), algorithm, CE)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "kl_divergence"])
def test_an_algorithm_of_logits_takes_no_loss_of_probabilities(loss):
    message = f"`loss` must take logits, which ProtoNet returns. Received: {loss}"
    with pytest.raises(ValueError, match=message):
        meta_tf.MetaLearner(model(4, "softmax"), meta_tf.ProtoNet(2), loss)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (losses.KLDivergence(), "softmax"),
        (losses.CategoricalGeneralizedCrossEntropy(), "softmax"),
        (losses.CategoricalFocalCrossentropy(), "softmax"),
        (losses.BinaryFocalCrossentropy(), "sigmoid"),
        (losses.BinaryCrossentropy(), "sigmoid"),
    ],
)
def test_a_loss_of_probabilities_needs_a_model_of_them(loss, activation):
    meta_tf.MetaLearner(model(3, activation), loss=loss)
    message = f"`loss` must fit.*'net', which ends in linear.*nd it with a {activation}"
    with pytest.raises(ValueError, match=message):
        meta_tf.MetaLearner(model(3), loss=loss)


class SoftmaxDense(layers.Dense):
    def call(self, inputs):
        return keras.ops.softmax(super().call(inputs))


def ending(*end):
    """A Sequential and a Functional model, each also inside of another model."""
    inputs = keras.Input([2])
    outputs = inputs
    for layer in end:
        outputs = layer(outputs)
    functional = keras.Model(inputs, outputs)
    sequential = keras.Sequential([keras.Input([2]), *end])
    nested = [keras.Sequential([keras.Input([2]), one]) for one in (functional, sequential)]
    return [functional, sequential, *nested]


def test_a_last_layer_that_only_casts_is_looked_through():
    of_logits = losses.CategoricalCrossentropy(from_logits=True)
    of_probabilities = losses.CategoricalCrossentropy()
    cast = layers.Activation("linear", dtype="float32")
    for softmax in ([layers.Dense(3, "softmax")], [layers.Dense(3), layers.Softmax()]):
        for net in ending(*softmax, cast):
            meta_tf.MetaLearner(net, loss=of_probabilities)
            with pytest.raises(ValueError, match="ends in softmax"):
                meta_tf.MetaLearner(net, loss=of_logits)
    for net in ending(layers.Dense(3), cast):
        meta_tf.MetaLearner(net, loss=of_logits)
        with pytest.raises(ValueError, match="ends in linear"):
            meta_tf.MetaLearner(net, loss=of_probabilities)


def test_a_layer_with_a_call_of_its_own_can_return_probabilities():
    for net in ending(SoftmaxDense(3)):
        meta_tf.MetaLearner(net, loss=losses.CategoricalCrossentropy())
        meta_tf.MetaLearner(net, loss=losses.KLDivergence())


@pytest.mark.parametrize("loss", [CE, losses.CategoricalCrossentropy(from_logits=True)])
def test_a_single_output_chooses_no_class(loss):
    meta_tf.MetaLearner(model(1), loss=losses.BinaryCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"one output of 'net'.*BinaryCrossentropy"):
        meta_tf.MetaLearner(model(1), loss=loss)


def test_another_algorithm_must_fit_the_loss_too():
    learner = meta_tf.MetaLearner(model(), meta_tf.MAML(), "mse")
    with pytest.raises(ValueError, match="`loss` must compare class numbers"):
        learner.algorithm = meta_tf.ProtoNet(3)
    assert learner.algorithm == meta_tf.MAML()


def test_probabilities_of_separate_yes_and_no_answers_are_no_softmax():
    learner = meta_tf.MetaLearner(
        model(1), meta_tf.MAML(), losses.BinaryCrossentropy(from_logits=True)
    )
    fitted = learner.adapt(np.eye(2, dtype="float32"), np.array([[0.0], [1.0]]))
    with pytest.raises(ValueError, match="Probabilities need a learner that classifies"):
        fitted.predict_proba(np.eye(2, dtype="float32"))


X = np.arange(6, dtype="float32").reshape(3, 2)


def squares(y, predictions):
    return (y - predictions) ** 2


@pytest.mark.parametrize("y", [X[:, 0], X[:, :1]])
def test_targets_that_a_custom_loss_or_metric_broadcasts_are_an_error(y):
    learner = meta_tf.MetaLearner(model(1), meta_tf.MAML(inner_steps=1), squares)
    batches = tf.data.Dataset.from_tensors(({"support_x": X, "support_y": y, "query_x": X}, y))
    split = SimpleNamespace(batches=lambda tasks, seed: batches.batch(1).repeat(2))
    by_mean = meta_tf.MetaLearner(
        model(1), meta_tf.MAML(inner_steps=0), lambda y, p: tf.reduce_mean(p)
    )
    if y.ndim == 2:
        learner.adapt(X, y)
        found = meta_tf.evaluate(by_mean, split, 2, metric=squares, verbose=0, baselines=False)
        expected = np.mean((y - by_mean.model(X)) ** 2)
        np.testing.assert_allclose(found.mean, expected, rtol=1e-6)
        return
    with pytest.raises(ValueError, match=r"`loss` must return .*\(3, 3\) .* shape \(3, 1\)"):
        learner.adapt(X, y)
    with pytest.raises(ValueError, match=r"`metric` must return at most one value"):
        meta_tf.evaluate(by_mean, split, 2, metric=squares, verbose=0, baselines=False)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (losses.BinaryCrossentropy(from_logits=True), None),
        (losses.CategoricalFocalCrossentropy(), "softmax"),
        ("kl_divergence", "softmax"),
    ],
)
def test_targets_of_a_loss_of_probabilities_are_between_0_and_1(loss, activation):
    learner = meta_tf.MetaLearner(model(2, activation), meta_tf.MAML(inner_steps=1), loss)
    one_hot, smooth = np.eye(2, dtype="float32")[[0, 1, 1]], np.full([3, 2], 0.5, "float32")
    for y in (one_hot, smooth, one_hot.astype("uint8"), 1.0000001 - 1.0000002 * one_hot):
        learner.adapt(X, y)
    for y in (2 * one_hot - 1, 255 * one_hot):
        received = f"Received: numbers from {y.min():.0f} to {y.max():.0f}"
        with pytest.raises(ValueError, match=f"`support_y` must hold probabilities.*{received}"):
            learner.adapt(X, y)


def test_targets_in_training_are_probabilities_too():
    loss = losses.BinaryCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model(1), meta_tf.MAML(inner_steps=1), loss)
    learner.compile("sgd", jit_compile=False)
    y = np.array([[[-1.0], [1.0], [1.0]]])
    batch = {"support_x": X[None], "support_y": abs(y), "query_x": X[None]}
    learner.fit(batch, 1e-7 * y, verbose=0)  # 0 after rounding
    before = learner.get_weights()
    with pytest.raises(ValueError, match=r"`query_y` must hold prob.*numbers from -1 to 1"):
        learner.fit(batch, y, verbose=0)
    for one, other in zip(learner.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_targets_of_a_hinge_loss_can_be_negative():
    learner = meta_tf.MetaLearner(model(1), meta_tf.MAML(inner_steps=1), "hinge")
    learner.adapt(X, np.array([[-1.0], [1.0], [1.0]]))
