"""A learner of five classes for seven: the algorithm's `ways` may change, its weights stay."""

import dataclasses

import keras
import numpy as np
import pytest

import meta_tf
from tests.learners import CE
from tests.marks import exhaustive, slow


def learner_of(algorithm):
    keras.utils.set_random_seed(0)
    return meta_tf.MetaLearner(meta_tf.models.mlp(3, None, (6,)), algorithm, CE)


def examples(ways):
    rng = np.random.default_rng(0)
    return rng.normal(size=[2 * ways, 3]).astype("float32"), np.arange(2 * ways) % ways


@pytest.mark.parametrize(
    "kind",
    [
        meta_tf.R2D2,
        slow(meta_tf.ProtoNet),
        exhaustive(meta_tf.MatchingNet),
        exhaustive(meta_tf.LogisticRegression),
    ],
)
def test_ways_may_change_after_training(kind):
    learner, expected = learner_of(kind(5)), learner_of(kind(7))
    x, y = examples(5)
    learner.compile("adam", jit_compile=False)
    batch = {"support_x": x[None], "support_y": y[None], "query_x": x[None]}
    learner.fit(batch, y[None], verbose=0)
    expected.set_weights([v.numpy() for v in learner.weights[: len(expected.weights)]])

    learner.algorithm = dataclasses.replace(learner.algorithm, ways=7)
    x, y = examples(7)
    given = learner.adapt(x, y).predict_on_batch(x)
    assert given.shape == (14, 7)
    np.testing.assert_allclose(
        given, expected.adapt(x, y).predict_on_batch(x), rtol=1e-5, atol=1e-6
    )
    batch = {"support_x": x[None], "support_y": y[None], "query_x": x[None]}
    np.testing.assert_allclose(learner.predict(batch, verbose=0)[0], given, rtol=1e-5, atol=1e-6)


def test_an_algorithm_that_learns_its_classes_refuses():
    learner = learner_of(meta_tf.InContext(5, width=4, blocks=1, heads=1))
    with pytest.raises(ValueError, match=r"`algorithm` must learn the same.*new MetaLearner"):
        learner.algorithm = dataclasses.replace(learner.algorithm, ways=7)
