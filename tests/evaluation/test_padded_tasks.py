"""`evaluate` on tasks of different sizes: each counts as it does alone."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.evaluation import Evaluation, evaluate
from tests.learners import make_batch, make_learner
from tests.marks import exhaustive, slow

SIZES = {"support_size": np.array([5, 2, 3, 4]), "query_size": np.array([6, 1, 2, 4])}


class Given:
    """A part that gives the same batches every time."""

    def __init__(self, *batches):
        self._batches = batches

    def batches(self, tasks, seed):
        return iter(self._batches)


def padded():
    x, y = make_batch()
    for t, (s, q) in enumerate(zip(*SIZES.values(), strict=True)):
        x["support_x"][t, s:], x["support_y"][t, s:] = np.nan, 99
        x["query_x"][t, q:], y[t, q:] = np.inf, -1
    return {**x, **SIZES}, y


def alone(x, y, t):
    s, q = SIZES["support_size"][t], SIZES["query_size"][t]
    sets = {"support_x": s, "support_y": s, "query_x": q}
    return {name: x[name][t : t + 1, :n] for name, n in sets.items()}, y[t : t + 1, :q]


@pytest.mark.parametrize(
    ("metric", "batch_with"),
    [
        slow(None, "none"),
        slow(keras.metrics.SparseCategoricalAccuracy(), "queries"),
        exhaustive("loss", "none"),
    ],
)
def test_each_task_counts_as_it_does_alone(metric, batch_with):
    x, y = padded()
    learner = make_learner()
    together = evaluate(learner, Given((x, y)), 4, steps=2, metric=metric, batch_with=batch_with)
    one_by_one = Given(*(alone(x, y, t) for t in range(4)))
    expected = evaluate(
        learner, one_by_one, 4, steps=2, metric=metric, batch_with=batch_with, tasks_at_once=1
    )
    np.testing.assert_allclose(together.per_task, expected.per_task, rtol=1e-5, atol=1e-6)
    assert together.metric == expected.metric


def test_sizes_are_told_as_ranges(tmp_path):
    vectors = np.random.default_rng(0).normal(size=[300, 3])
    tasks = meta_tf.tasks.from_arrays(
        vectors, np.arange(300) % 30, ways=(2, 3), shots=(1, 4), queries=5
    )
    learner = make_learner(meta_tf.models.mlp(3, 3))
    result = evaluate(learner, tasks.test, tasks_number=50, steps=1)
    assert (result.ways, result.shots, result.queries) == ((2, 3), (1, 4), 5)
    assert "2–3-way 1–4-shot, 5 queries a class" in str(result)
    result.save(tmp_path / "results.json")
    loaded = Evaluation.load(tmp_path / "results.json")
    assert (loaded.ways, loaded.kind) == (result.ways, result.kind)
    assert json.loads(result.to_json())["shots"] == [1, 4]


def test_real_examples_are_still_checked():
    x, y = padded()
    x["query_x"][3, 3] = np.nan
    with pytest.raises(ValueError, match=r"`query_x` must be finite.* example 3 of task 3 "):
        evaluate(make_learner(), Given((tf.nest.map_structure(tf.constant, x), y)), 4)
