"""Metrics of Keras are given targets of the kind that they take, or say so."""

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.data_checks.metrics import check_metrics
from tests.learners import make_batch, make_learner

METRICS = keras.metrics
LABELS, NUMBERS = ((4, 6), (4, 6, 3)), ((4, 6, 3), (4, 6, 3))


def _own(y, predictions):
    return keras.ops.mean(predictions, -1)


@pytest.mark.parametrize(
    ("metric", "shapes"),
    [
        *((m, LABELS) for m in ("accuracy", "acc", "sparse_categorical_accuracy", _own)),
        (METRICS.SparseCategoricalAccuracy(), LABELS),
        (METRICS.SparseTopKCategoricalAccuracy(2), LABELS),
        (METRICS.SparseCategoricalCrossentropy(from_logits=True), LABELS),
        (METRICS.SparseCategoricalAccuracy(), ((4, 6, 1), (4, 6, 3))),
        (METRICS.MeanIoU(3, sparse_y_pred=False), LABELS),
        *((m, NUMBERS) for m in ("accuracy", "mse", "categorical_accuracy", _own)),
        (METRICS.CategoricalAccuracy(), NUMBERS),
        (METRICS.AUC(), NUMBERS),
        (METRICS.BinaryAccuracy(), ((4, 6), (4, 6, 1))),
        (METRICS.MeanSquaredError(), ((None, None, 1), (4, 6, 1))),
    ],
)
def test_metrics_that_fit_are_taken(metric, shapes):
    check_metrics("metrics", [metric], *shapes)


@pytest.mark.parametrize(
    ("metric", "cure"),
    [
        (METRICS.CategoricalAccuracy(), r"keras\.metrics\.SparseCategoricalAccuracy"),
        ("categorical_accuracy", r"keras\.metrics\.SparseCategoricalAccuracy"),
        (METRICS.categorical_accuracy, r"keras\.metrics\.sparse_categorical_accuracy"),
        (METRICS.TopKCategoricalAccuracy(), r"keras\.metrics\.SparseTopKCategoricalAccuracy"),
        (METRICS.CategoricalCrossentropy(), r"keras\.metrics\.SparseCategoricalCrossentropy"),
        (METRICS.MeanMetricWrapper(keras.losses.CategoricalCrossentropy()), "'accuracy'"),
        *(
            (metric, "one-hot targets")
            for metric in [
                METRICS.AUC(),
                METRICS.Precision(),
                METRICS.Recall(),
                METRICS.F1Score(),
                METRICS.BinaryAccuracy(),
                METRICS.MeanAbsoluteError(),
                METRICS.CosineSimilarity(),
                METRICS.RootMeanSquaredError(),
                METRICS.CategoricalHinge(),
                METRICS.OneHotMeanIoU(3),
                "mse",
            ]
        ),
    ],
)
def test_class_numbers_are_refused_where_one_hot_targets_are_meant(metric, cure):
    with pytest.raises(ValueError, match=f"`metrics` must fit the targets.*{cure}"):
        check_metrics("metrics", [metric], *LABELS)


def test_one_hot_targets_are_refused_where_class_numbers_are_meant():
    with pytest.raises(ValueError, match=r"takes class numbers.*'accuracy' chooses"):
        check_metrics("metrics", ["sparse_categorical_accuracy"], *NUMBERS)


def test_compile_and_evaluate_look():
    learner = make_learner(metrics=["accuracy", METRICS.CategoricalAccuracy()], jit_compile=False)
    x, y = make_batch()
    with pytest.raises(ValueError, match=r"`metrics` must fit.*SparseCategoricalAccuracy"):
        learner.evaluate(x, y, verbose=0)

    class Split:
        def batches(self, tasks, seed=0):
            yield x, y

    with pytest.raises(ValueError, match=r"`metric` must fit.*SparseCategoricalAccuracy"):
        meta_tf.evaluate(learner, Split(), 4, metric=METRICS.CategoricalAccuracy(), verbose=0)
    learner.compile("sgd", metrics=["accuracy"])
    accuracy = learner.evaluate(x, y, verbose=0)[1]
    expected = np.mean(learner.predict(x, verbose=0).argmax(-1) == y)
    np.testing.assert_allclose(accuracy, expected, rtol=1e-6)
