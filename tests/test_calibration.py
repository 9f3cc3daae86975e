"""Calibration: temperatures, strangeness and what of them is kept, beside NumPy."""

import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.calibration import (
    Calibration,
    auroc,
    calibration_error,
    fit_temperature,
    log_loss,
    softmax,
)
from meta_tf.layers.strangeness import MEANS, NOISE, WITHIN
from meta_tf.learner import calibrate

CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=[30, 4])
X = (np.repeat(CENTRES, 20, 0) + RNG.normal(scale=0.5, size=[600, 4])).astype("float32")
Y = np.repeat(np.arange(30), 20)
SUPPORT, LABELS = X[[0, 1, 20, 21, 22]], np.array([0, 0, 1, 1, 1])
QUERY = np.concatenate([X[[5, 25, 26]], [[9.0, 9.0, 9.0, 9.0]]]).astype("float32")


def source(shots):
    return meta_tf.tasks.from_arrays(X, Y, ways=3, shots=shots, queries=5)


@pytest.fixture(scope="module")
def parts():
    return source(1).valid, source(4).valid


def embedding_learner(algorithm):
    keras.utils.set_random_seed(0)
    body = keras.Sequential([keras.Input([4]), keras.layers.Dense(3, name="dense")])
    return meta_tf.MetaLearner(body, algorithm, CE)


@pytest.fixture(scope="module")
def protonet(parts):
    learner = embedding_learner(meta_tf.ProtoNet(ways=3))
    learner.calibrate(*parts, tasks_number=40)
    return learner


def test_the_temperature_is_where_the_cross_entropy_is_smallest():
    z = [3 * RNG.normal(size=[20, 3]), RNG.normal(size=[10, 5])]
    y = [RNG.integers(0, 3, 20), RNG.integers(0, 5, 10)]
    z = [a + 2 * np.eye(a.shape[1])[b] for a, b in zip(z, y, strict=True)]
    grid = np.exp(np.linspace(-3, 3, 20001))

    def loss(t):
        # Of each of the 30 labels, a share of 1/31 goes to the most likely other class.
        total = 0
        for a, b in zip(z, y, strict=True):
            others = [
                max((j for j in range(len(r)) if j != c), key=r.__getitem__)
                for r, c in zip(a, b, strict=True)
            ]
            p = softmax(a / t)
            total += (30 * log_loss(p, b) + log_loss(p, np.array(others))) * len(b) / 31
        return total

    # Near its minimum, the loss is flat: compare the places coarsely, and the values.
    best = grid[np.argmin([loss(t) for t in grid])]
    assert fit_temperature(z, y) == pytest.approx(best, rel=1e-3)
    assert fit_temperature([10 * a for a in z], y) == pytest.approx(10 * best, rel=1e-3)


def test_a_temperature_of_answers_that_are_all_right_is_that_of_one_mistake():
    # Two logits 0 and 1, right in n of n: p(right) = n / (n + 1), so exp(1 / T) = n.
    z = [np.array([[0.0, 1.0], [1.0, 0.0]] * 25)]
    y = [np.array([1, 0] * 25)]
    assert fit_temperature(z, y) == pytest.approx(1 / np.log(50))


def test_error_loss_and_auroc_by_hand():
    p = np.array([[0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    y = np.array([0, 1, 0, 1])
    # Bins of 1/15: 0.8 (right in 1 of 2), 0.6 (1 of 1) and 0.7 (1 of 1).
    assert calibration_error(p.max(-1), p.argmax(-1) == y) == pytest.approx(
        (2 * 0.3 + 0.4 + 0.3) / 4
    )
    assert log_loss(p, y) == pytest.approx(-np.log([0.8, 0.2, 0.6, 0.7]).mean())
    known, strange = RNG.integers(0, 6, 30), RNG.integers(2, 9, 20)
    pairs = strange[:, None] - known
    assert auroc(known, strange) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_probabilities_are_the_softmax_of_logits_over_the_temperature(protonet):
    fitted = protonet.adapt(SUPPORT, LABELS)
    t = protonet.calibration.temperatures
    # 5 examples of 2 classes: 2.5 a class, between 1 and 4 on a logarithmic scale; 2 classes are
    # fewer than any that it was calibrated for.
    share = np.log(2.5) / np.log(4)
    expected = t[3, 1] ** (1 - share) * t[3, 4] ** share
    z = fitted.predict(QUERY, verbose=0).astype("float64") / expected
    powers = np.exp(z - z.max(-1, keepdims=True))
    np.testing.assert_allclose(
        fitted.predict_proba(QUERY), powers / powers.sum(-1, keepdims=True), rtol=1e-4
    )
    assert t[3, 1] != pytest.approx(t[3, 4], rel=0.01)


def test_the_temperature_of_other_sizes_is_a_plane_in_logarithms():
    sizes = [(w, s) for w in (2, 5, 20) for s in (1, 4, 10)]
    plane = {(w, s): 1.5 * w**-0.4 * s**0.2 for w, s in sizes}
    calibration = Calibration(plane, {(1, 1): 0.0})
    for w, s in ((3, 7), (11.5, 1), (20, 10)):
        assert calibration.temperature(w, s) == pytest.approx(1.5 * w**-0.4 * s**0.2)
    formula = calibration.temperature_formula()
    assert formula["ways"] == [2, 20] and formula["shots"] == [1, 10]
    slopes = formula["constant"], formula["log_ways"], formula["log_shots"]
    np.testing.assert_allclose(slopes, [np.log(1.5), -0.4, 0.2], rtol=1e-9)
    assert calibration.temperature(1, 99) == pytest.approx(1.5 * 2**-0.4 * 10**0.2)
    one = Calibration({(5, 1): 0.7}, {(1, 1): 0.0})
    assert one.temperature(60, 3) == pytest.approx(0.7)
    flat = one.temperature_formula()
    assert (flat["log_ways"], flat["log_shots"]) == (0, 0)
    assert flat["constant"] == pytest.approx(np.log(0.7))
    rough = {(2, 1): 1.0, (2, 10): 3.0, (2, 100): 2.0}  # the mean line, by hand
    slope = (np.log(2) - np.log(1)) / np.log(100)
    middle = np.log([1, 3, 2]).mean()
    expected = np.exp(middle + slope * (np.log(20) - np.log(10)))
    assert Calibration(rough, {(1, 1): 0.0}).temperature(2, 20) == pytest.approx(expected)


def test_the_threshold_is_that_of_the_nearest_sizes():
    calibration = Calibration({(5, 1): 1.0}, {(2, 1): 1.2, (8, 1): 0.3, (8, 4): -0.6})
    assert [calibration.threshold(*s) for s in ((2, 1), (8, 4), (1, 0.5), (99, 9))] == [
        1.2,
        -0.6,
        1.2,
        -0.6,
    ]
    # In units of log 2, 4-way 2-shot is √2, √2 and √2 away; 4-way 1-shot 1, 1 and √5.
    assert calibration.threshold(4, 2) == pytest.approx((1.2 + 0.3 - 0.6) / 3)
    assert calibration.threshold(4, 1) == pytest.approx((1.2 + 0.3 - 0.6 / 25) / 2.04)
    for wrong in ({}, 0.3, {(5, 1): float("nan")}, {(0, 1): 0.3}):
        with pytest.raises(ValueError, match="`thresholds`"):
            Calibration({(5, 1): 1.0}, wrong)


def test_files_with_one_threshold_have_it_for_all_sizes(protonet, tmp_path):
    config = protonet.calibration.get_config()
    del config["thresholds"]
    old = Calibration.from_config({**config, "threshold": 0.3414493203163147})
    assert {old.threshold(*size) for size in ((2, 1), (5, 3), (60, 50))} == {0.3414493203163147}
    fitted = protonet.adapt(SUPPORT, LABELS)
    saved = fitted.get_config()
    del saved["threshold"]
    saved["calibration"] = {**config, "threshold": 0.34}
    assert type(fitted).from_config(saved).threshold == 0.34


@pytest.mark.parametrize(
    "algorithm", [meta_tf.ProtoNet(ways=3), meta_tf.R2D2(ways=3), meta_tf.MatchingNet(ways=3)]
)
def test_strangeness_is_the_distance_in_units_of_the_spread(algorithm):
    learner = embedding_learner(algorithm)
    plain = learner.adapt(SUPPORT, LABELS).predict(QUERY, verbose=0)
    learner.calibration = Calibration({(3, 1): 2.0}, {(3, 1): 0.25}, spread=1.5)
    fitted = learner.adapt(SUPPORT, LABELS)
    np.testing.assert_array_equal(fitted.predict(QUERY, verbose=0), plain)  # as before
    probabilities, found = fitted.predict_with_strangeness(QUERY)
    np.testing.assert_allclose(probabilities, softmax(plain / 2.0), rtol=1e-4)

    kernel, bias = learner.model.get_weights()
    s, q = SUPPORT @ kernel + bias, QUERY @ kernel + bias
    means = np.stack([s[:2].mean(0), s[2:].mean(0)])
    within = ((s - means[LABELS]) ** 2).sum()
    spread = (10 * 1.5 + within) / (10 + 5 - 2)
    apart = ((q[:, None] - means) ** 2).sum(-1) / (1 + 1 / np.array([2, 3]))
    np.testing.assert_allclose(found, np.log(apart.min(-1) / spread) - 0.25, rtol=1e-4, atol=1e-4)


def test_for_an_inner_loop_strangeness_is_measured_before_the_last_layer(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(6, name="dense"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Dense(3, name="head"),
    ]
    model = keras.Sequential([keras.Input([4]), *layers])
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.5), CE, batch_norm="support")
    plain = learner.adapt(SUPPORT, LABELS).predict(QUERY, verbose=0)
    learner.calibration = Calibration({(2, 2): 1.0}, {(2, 2): 0.25}, spread=0.1)
    fitted = learner.adapt(SUPPORT, LABELS)
    np.testing.assert_array_equal(fitted.predict(QUERY, verbose=0), plain)
    # Measured by a pass over the support set, when somebody asks or keeps the model.
    assert not fitted.weights_now.meta
    strange = fitted.predict_with_strangeness(QUERY)[1]
    assert set(fitted.weights_now.meta) == {MEANS, NOISE, WITHIN}
    never_asked = learner.adapt(SUPPORT, LABELS)
    never_asked.save(tmp_path / "fitted.keras")
    for again in (
        keras.models.load_model(tmp_path / "fitted.keras"),
        pickle.loads(pickle.dumps(learner.adapt(SUPPORT, LABELS))),
    ):
        np.testing.assert_allclose(again.predict_with_strangeness(QUERY)[1], strange, rtol=1e-5)
    trained = learner.adapt(SUPPORT, LABELS)
    assert len(trained.weights) == len(fitted.weights)  # complete from the start

    kernel, bias, gamma, beta = (v.numpy() for v in fitted.trainable_variables[:4])
    before = SUPPORT @ kernel + bias
    mean, variance = before.mean(0), before.var(0)

    def features(x):
        normal = (x @ kernel + bias - mean) / np.sqrt(variance + layers[1].epsilon)
        f = np.maximum(normal * gamma + beta, 0)
        return f / np.linalg.norm(f, axis=-1, keepdims=True)

    s, q = features(SUPPORT), features(QUERY)
    means = np.stack([s[:2].mean(0), s[2:].mean(0)])
    within = ((s - means[LABELS]) ** 2).sum()
    spread = (10 * 0.1 + within) / (10 + 5 - 2)
    apart = ((q[:, None] - means) ** 2).sum(-1) / (1 + 1 / np.array([2, 3]))
    np.testing.assert_allclose(strange, np.log(apart.min(-1) / spread) - 0.25, rtol=1e-3, atol=1e-3)


def test_without_embeddings_strangeness_is_the_energy(parts):
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(3, name="head")])
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(inner_lr=0.5), CE)
    calibration = learner.calibrate(parts[0], tasks_number=10)
    fitted = learner.adapt(SUPPORT, LABELS)
    z = fitted.predict(QUERY, verbose=0).astype("float64")
    energy = -np.log(np.exp(z).sum(-1)) - calibration.thresholds[3, 1]
    np.testing.assert_allclose(fitted.predict_with_strangeness(QUERY)[1], energy, rtol=1e-5)
    assert calibration.spread is None


def test_thresholds_refuse_the_stated_fraction_of_known_inputs_of_each_size(protonet, parts):
    spreads, calibration = [], protonet.calibration
    for shots, part in zip((1, 4), parts, strict=True):
        strange = []
        for x, y in part.batches(1).take(40):
            fitted = protonet.adapt(x["support_x"][0], x["support_y"][0])
            strange.append(fitted.predict_with_strangeness(x["query_x"][0])[1])
            apart = fitted.judged(x["query_x"][0]).apart
            spreads.append(np.take_along_axis(apart, y[0].numpy()[:, None], 1).mean())
            assert fitted.threshold == calibration.thresholds[3, shots]
        assert len(np.concatenate(strange)) == 600  # enough to need no other sizes
        assert np.mean(np.concatenate(strange) > 0) == pytest.approx(0.05, abs=0.002)
    assert calibration.spread == pytest.approx(np.mean(spreads), rel=1e-5)
    assert len(set(calibration.thresholds.values())) == 2


def test_few_queries_of_a_size_count_with_those_of_the_nearest():
    learner = embedding_learner(meta_tf.ProtoNet(ways=3))
    few = [source(shots).valid for shots in (1, 2, 6)]
    learner.calibrate(*few, tasks_number=18)  # 270 queries each: those of two sizes
    thresholds = learner.calibration.thresholds
    assert thresholds[3, 1] == thresholds[3, 2] != thresholds[3, 6]


def test_what_is_none_of_the_classes_gets_the_name_for_it(protonet):
    fitted = protonet.adapt(SUPPORT, ["owl", "owl", "ant", "ant", "ant"])
    assert fitted.predict_names(QUERY, unknown="none").tolist()[-1] == "none"
    named = fitted.predict_names(QUERY)
    strange = fitted.predict_with_strangeness(QUERY)[1] > 0
    expected = np.where(strange, "none", named)
    np.testing.assert_array_equal(fitted.predict_names(QUERY, unknown="none"), expected)
    with pytest.raises(ValueError, match="`unknown`"):
        fitted.predict_names(QUERY, unknown=3)


def test_files_keep_the_calibration(protonet, tmp_path):
    fitted = protonet.adapt(SUPPORT, LABELS)
    expected = fitted.predict_with_strangeness(QUERY)
    for model in (protonet, fitted):
        model.save(tmp_path / "saved.keras")
        loaded = keras.models.load_model(tmp_path / "saved.keras")
        assert loaded.calibration == protonet.calibration
        again = loaded.adapt(SUPPORT, LABELS) if model is protonet else loaded
        for got, wanted in zip(again.predict_with_strangeness(QUERY), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_training_and_another_algorithm_remove_the_calibration(parts):
    learner = embedding_learner(meta_tf.ProtoNet(ways=3))
    learner.compile("sgd")
    calibration = learner.calibration = Calibration(
        {(3, 1): 1.0}, thresholds={(1, 1): 0.0}, spread=1.0
    )
    learner.fit(source(1).train.batches(2), steps_per_epoch=1, verbose=0)
    assert learner.calibration is None
    learner.calibration = calibration
    learner.algorithm = meta_tf.ProtoNet(ways=2)
    assert learner.calibration is None
    with pytest.raises(ValueError, match=r"needs a calibrated learner.*learner.calibrate"):
        learner.adapt(SUPPORT, LABELS).predict_with_strangeness(QUERY)


def test_transductive_inputs_are_judged_one_by_one_in_the_same_batch():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    body = keras.Sequential(
        [keras.Input([4]), layers.Dense(3, name="dense"), layers.BatchNormalization(name="norm")]
    )
    learner = meta_tf.MetaLearner(body, meta_tf.ProtoNet(ways=3), CE)
    learner.calibration = Calibration({(3, 1): 1.0}, thresholds={(1, 1): 0.0}, spread=1.0)
    fitted = learner.adapt(SUPPORT, LABELS)
    logits, apart, _ = fitted.judged(QUERY, batch_with=SUPPORT)
    np.testing.assert_array_equal(logits, fitted.predict_one_by_one(QUERY, batch_with=SUPPORT))
    np.testing.assert_allclose(apart, -logits / (1 + 1 / np.array([2, 3])), rtol=1e-4, atol=1e-5)
    # Also without distances, as before any calibration.
    uncalibrated = meta_tf.MetaLearner(body, meta_tf.ProtoNet(ways=3), CE)
    judged = uncalibrated.adapt(SUPPORT, LABELS).judged(QUERY, batch_with=SUPPORT)
    np.testing.assert_array_equal(judged.logits, logits)
    assert judged.apart is None


def test_by_default_100_tasks_calibrate_or_fewer_if_each_query_is_predicted_alone(
    parts, monkeypatch
):
    learner = embedding_learner(meta_tf.ProtoNet(ways=3))
    given = learner.calibrate(parts[0], tasks_number=100, seed=1)
    assert learner.calibrate(parts[0], seed=1) == given
    # 15 queries a task: 1000 // 15 = 66 tasks have 1000 queries together; 5 tasks are the least.
    monkeypatch.setattr(calibrate, "depends_on_batch", lambda network: True)
    assert calibrate.enough_tasks(learner, parts[0], 1) == 66
    monkeypatch.setattr(calibrate, "_MOST_ALONE", 7 * 15)
    assert learner.calibrate(*parts) == learner.calibrate(*parts, tasks_number=7)
    monkeypatch.setattr(calibrate, "_MOST_ALONE", 30)
    assert calibrate.enough_tasks(learner, parts[0], 0) == 5


def test_what_cannot_be_calibrated_is_said(parts):
    regression = meta_tf.MetaLearner(meta_tf.models.mlp(1), meta_tf.MAML(), loss="mse")
    with pytest.raises(ValueError, match=r"that classifies.*Received: the loss mean_sq"):
        regression.calibrate(meta_tf.tasks.Sinusoid().valid)
    with pytest.raises(ValueError, match="learner that classifies"):
        regression.adapt(tf.zeros([5, 1]), tf.zeros([5, 1])).predict_proba(tf.zeros([2, 1]))
    learner = embedding_learner(meta_tf.ProtoNet(ways=3))
    for given, options, named in (
        ((), {}, "splits of task sources.*Received: none"),
        (([1],), {}, "Received: list"),
        (parts, {"false_alarms": 1.5}, "`false_alarms`"),
        (parts, {"tasks_number": 0}, "`tasks_number`"),
    ):
        with pytest.raises(ValueError, match=named):
            learner.calibrate(*given, **options)
    assert learner.calibration is None


def test_confidence_counts_what_is_asked_of_a_calibrated_learner(protonet):
    part, number = source(4).test, 5
    found = meta_tf.confidence(protonet, part, tasks_number=number)
    p, y, false_alarms, refused, areas = [], [], [], [], []
    for task, query_y in part.batches(1).take(number):
        sx, sy, qx = (task[name][0].numpy() for name in ("support_x", "support_y", "query_x"))
        qy = query_y[0].numpy()
        probabilities, strange = protonet.adapt(sx, sy).predict_with_strangeness(qx)
        p.append(probabilities)
        y.append(qy)
        false_alarms.append(strange > 0)
        without = protonet.adapt(sx[sy < 2], sy[sy < 2])  # the last class is unknown
        strange = without.predict_with_strangeness(qx)[1]
        refused.append(strange[qy == 2] > 0)
        pairs = strange[qy == 2][:, None] > strange[qy < 2]
        areas.append(pairs.mean())
    p, y = np.concatenate(p), np.concatenate(y)
    assert (found.tasks, found.ways, found.shots) == (number, 3, 4)
    assert found.accuracy == pytest.approx((p.argmax(-1) == y).mean())
    assert found.nll == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean())
    assert found.ece == pytest.approx(calibration_error(p.max(-1), p.argmax(-1) == y))
    assert found.false_alarms == pytest.approx(np.mean(false_alarms))
    assert found.refused == pytest.approx(np.mean(refused))
    assert found.auroc == pytest.approx(np.mean(areas))
    assert "5 new tasks, 3-way 4-shot" in str(found)
    with pytest.raises(ValueError, match="three classes or more"):
        meta_tf.confidence(protonet, meta_tf.tasks.from_arrays(X, Y, ways=2).test)
