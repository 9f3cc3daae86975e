"""Baselines beside plain NumPy, and a learner beside baselines."""

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.calibration import softmax
from meta_tf.evaluation import baselines
from meta_tf.evaluation.compared import Baseline, sentence
from meta_tf.evaluation.pooled import FOLDS, PENALTIES, PooledRidge
from meta_tf.evaluation.result import shown_value

RNG = np.random.default_rng(0)
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SEEN = [0, 1, 3]
SIZES = [(9, 3), (6, 20)]  # more examples than inputs, and fewer


def ridge_by_hand(x, y, new, penalty):
    """Ridge regression with an intercept that is not penalised."""
    left, mean = x - x.mean(0), y.mean(0)
    weights = np.linalg.solve(left.T @ left + penalty * np.eye(x.shape[1]), left.T @ (y - mean))
    return mean + (new - x.mean(0)) @ weights


@pytest.mark.parametrize(("shots", "size"), SIZES)
def test_ridge_leaves_every_example_out_to_choose_its_penalty(shots, size):
    x, new = RNG.normal(size=[4, shots, size]), RNG.normal(size=[4, 7, size])
    y = x @ RNG.normal(size=[size, 2]) * np.array([0, 0.1, 1, 10])[:, None, None]
    y += RNG.normal(size=y.shape)
    found = baselines.ridge(baselines.spectrum(x, new), y)
    for task in range(4):
        scale = np.square(x[task] - x[task].mean(0)).sum() / shots
        errors = {}
        for penalty in [*(scale * 10.0 ** np.arange(-5, 4)), 1e15]:
            rest = [np.delete(np.arange(shots), i) for i in range(shots)]
            left = [
                ridge_by_hand(x[task, r], y[task, r], x[task, [i]], penalty)[0] - y[task, i]
                for i, r in enumerate(rest)
            ]
            errors[penalty] = np.mean(np.square(left))
        best = min(errors, key=errors.get)
        expected = ridge_by_hand(x[task], y[task], new[task], best)
        np.testing.assert_allclose(found[task], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("shots", "size"), SIZES)
def test_classifiers_agree_with_their_definitions(shots, size):
    labels = np.tile(SEEN, 4)[:shots]  # and no example of class 2
    places = RNG.normal(size=[4, size])
    x = places[labels] + RNG.normal(size=[3, shots, size])
    new = places[RNG.integers(4, size=40)] + RNG.normal(size=[3, 40, size])
    task, y = baselines.spectrum(x, new), np.tile(labels, [3, 1])
    nearest, likely = baselines.nearest_mean(task, y), baselines.logistic_regression(task, y)
    without = baselines.logistic_regression(task, np.searchsorted(SEEN, y))  # as if of 3 classes
    np.testing.assert_allclose(likely[..., SEEN], without, rtol=1e-12, atol=1e-12)
    for t in range(3):
        means = [x[t][labels == c].mean(0) if c != 2 else np.full(size, 1e9) for c in range(4)]
        apart = np.square(new[t][:, None] - means).sum(-1)
        np.testing.assert_array_equal(nearest[t], apart.argmin(-1))
        # scikit-learn leaves a class without examples out, too.
        weights, bias, wanted = np.zeros([size, 3]), np.zeros(3), np.eye(4)[labels][:, SEEN]
        left, ahead = x[t] - x[t].mean(0), new[t] - x[t].mean(0)  # changes the intercept alone
        for _ in range(4000):  # gradient descent on the sum of cross-entropies + ½ Σ W²
            p = np.exp(left @ weights + bias)
            p = p / p.sum(-1, keepdims=True) - wanted
            weights -= 0.01 * (left.T @ p + weights)
            bias -= 0.01 * p.sum(0)
        found, expected = softmax(likely[t]), softmax(ahead @ weights + bias)
        np.testing.assert_allclose(found[:, SEEN], expected, atol=1e-3)
        assert not found[:, 2].any()


def test_the_pooled_ridge_chooses_by_groups_and_corrects_a_new_one():
    offsets = RNG.normal(size=12)
    known = []
    for offset in offsets:
        x = RNG.normal(size=[8, 2])
        known.append((x, x[:, :1] * x[:, 1:] + 3 * offset + 0.1 * RNG.normal(size=[8, 1])))
    ridge = PooledRidge(known)

    def products(x):
        return np.stack([np.ones(len(x)), *x.T, *(x.T[0] * x.T), x.T[1] ** 2], 1)

    def solved(groups, penalty):
        x, y = (np.concatenate(parts) for parts in zip(*groups, strict=True))
        x = products(x)
        return np.linalg.solve(x.T @ x + penalty * np.eye(6), x.T @ y)

    def error(penalty):
        held_out = []
        for fold in range(FOLDS):
            rest = [g for i, g in enumerate(known) if i % FOLDS != fold]
            weights = solved(rest, penalty)
            held_out += [np.mean((products(x) @ weights - y) ** 2) for x, y in known[fold::FOLDS]]
        return np.mean(held_out)

    assert ridge.common == min(PENALTIES, key=error)
    x, new = RNG.normal(size=[3, 2]), RNG.normal(size=[4, 2])
    common, offset, own = ridge.predictions(x, x[:, :1] + 5, new).values()
    weights = solved(known, ridge.common)
    np.testing.assert_allclose(common, products(new) @ weights)
    left = x[:, :1] + 5 - products(x) @ weights
    np.testing.assert_allclose(offset, common + left.sum() / 4)
    square = products(x).T @ products(x) + ridge.own * np.eye(6)
    more = products(new) @ np.linalg.solve(square, products(x).T @ left)
    np.testing.assert_allclose(own, common + more)


@pytest.fixture(scope="module")
def groups():
    """Groups with a slope of their own, and an untrained learner of them in their units."""
    group = np.arange(90) % 9
    x = RNG.normal(20, 5, size=[90, 2]).astype("float32")
    y = group * x[:, 0]
    lists = (range(5), range(5, 6), range(6, 9))
    tasks = meta_tf.tasks.from_groups(x, y, group, shots=4, split=lists)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(2, 1, ()), meta_tf.MAML(0.01), "mse")
    learner.standardize(tasks.train)
    return learner, tasks


def test_evaluate_compares_on_the_same_tasks(groups, tmp_path):
    learner, tasks = groups
    whole = tasks.test.whole_groups(draws=2)
    result = meta_tf.evaluate(learner, whole, len(whole), baselines=tasks.train)
    own = []
    for x, y in whole.batches():
        own.append(np.mean((x["support_y"].numpy()[0].mean(0) - y[0].numpy()) ** 2))
    apart = result.per_task[:, -1] - own
    # Two tasks of each of three groups, one group after another.
    of_groups = (np.reshape(v, [2, 3]).mean(0) for v in (own, apart))
    half = [1.96 * np.std(v, ddof=1) / np.sqrt(3) for v in of_groups]
    expected = Baseline(np.mean(own), half[0], apart.mean(), half[1], 6)
    found = result.baselines["mean of the support set"]
    np.testing.assert_allclose(found[:5], expected[:5], rtol=1e-4)
    assert found.nll is found.ece is None
    names = ["mean of the support set", "ridge regression", "ridge on all groups"]
    names += ["ridge on all groups + offset", "ridge on all groups + own ridge"]
    assert sorted(result.baselines) == sorted(names)
    means = [row.mean for row in result.baselines.values()]
    assert means == sorted(means)
    assert str(result).splitlines()[-1].startswith("The learner does not")
    result.save(tmp_path / "results.json")
    assert meta_tf.Evaluation.load(tmp_path / "results.json") == result
    without = meta_tf.evaluate(learner, whole, 2, baselines=False)
    assert (result.groups, without.groups) == (3, 2)
    assert not without.baselines
    assert "baseline" not in str(without)


def test_a_frozen_network_adds_its_features():
    x = RNG.normal(size=[240, 4]).astype("float32")
    tasks = meta_tf.tasks.from_arrays(x, np.arange(240) % 24, ways=3, shots=2, queries=4)
    model = meta_tf.models.mlp(4, 3, (5,), "tanh", "glorot_uniform")
    model.layers[0].trainable = False
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), SPARSE)
    result = meta_tf.evaluate(learner, tasks.test, 22)
    x, y = next(iter(tasks.test.batches(22)))
    body = model.layers[0]
    task = baselines.spectrum(body(x["support_x"]), body(x["query_x"]))
    right = baselines.nearest_mean(task, x["support_y"].numpy()) == y.numpy()
    assert result.baselines["nearest mean on features"].mean == pytest.approx(right.mean())


def test_padding_does_not_count():
    x = RNG.normal(size=[240, 4]).astype("float32")
    tasks = meta_tf.tasks.from_arrays(x, np.arange(240) % 24, ways=(2, 3), shots=(1, 2), queries=3)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(4, None, (3,)), meta_tf.ProtoNet(3), SPARSE)
    result = meta_tf.evaluate(learner, tasks.test, 4)
    right = []
    batch, y = next(iter(tasks.test.batches(4)))
    for t in range(4):
        s, q = int(batch["support_size"][t]), int(batch["query_size"][t])
        task = baselines.spectrum(batch["support_x"][t, None, :s], batch["query_x"][t, None, :q])
        found = baselines.nearest_mean(task, batch["support_y"].numpy()[t, None, :s])
        right.append(np.mean(found == y.numpy()[t, None, :q]))
    assert result.baselines["nearest mean"].mean == pytest.approx(np.mean(right))


@pytest.mark.parametrize(
    ("metric", "difference", "words"),
    [
        ("mse", -0.3, "The learner beats the best of them, ridge regression, by 0.3000 ± 0.1000."),
        ("mse", 0.3, "The learner does not beat ridge regression, which is better by 0.3000"),
        ("accuracy", 0.3, "The learner beats the best of them, ridge regression, by 30.00 ± 10.00"),
        ("accuracy", -0.05, "The learner does not clearly beat ridge regression: it is worse by"),
        ("mse", -0.05, "The learner does not clearly beat ridge regression: it is better by"),
        ("accuracy", 0.0, "The learner does not clearly beat ridge regression: the difference is"),
    ],
)
def test_a_sentence_says_who_is_better(metric, difference, words):
    rows = {"ridge regression": Baseline(0.5, 0.1, difference, 0.1, 600)}
    assert words in sentence(metric, rows, shown_value)


def test_other_tasks_have_no_baselines():
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1), meta_tf.MAML(), "mse")
    part = meta_tf.tasks.Sinusoid().test
    assert not meta_tf.evaluate(learner, part, 3, metric="loss").baselines
    with pytest.raises(ValueError, match="`baselines` must be True or False"):
        meta_tf.evaluate(learner, part, 3, baselines="ridge")
