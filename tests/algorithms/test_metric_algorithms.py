"""ProtoNet, MatchingNet, R2D2 and ProtoMAML against NumPy, and as Keras models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf import plots
from meta_tf.network.network import Network
from meta_tf.types import Examples
from tests.learners import CE
from tests.marks import exhaustive, few, few_slow, slow

LR, WAYS = 0.1, 3
EMBEDDING = {
    "euclidean": meta_tf.ProtoNet(WAYS),
    "cosine": meta_tf.ProtoNet(WAYS, "cosine", scale=10.0),
    "attention": meta_tf.MatchingNet(WAYS, scale=5.0),
    "ridge": meta_tf.R2D2(WAYS, regularization=0.5, scale=4.0),
    "logistic": meta_tf.LogisticRegression(WAYS, regularization=0.5, scale=3.0),
}
every_embedding = pytest.mark.parametrize("name", EMBEDDING)
ALL = {**EMBEDDING, "protomaml": meta_tf.ProtoMAML(LR, inner_steps=2)}


@pytest.fixture
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def embedding():
    return meta_tf.models.mlp(4, None, (5,), "tanh", "glorot_uniform")


def classifier():
    return meta_tf.models.mlp(4, WAYS, (5,), "tanh", "glorot_uniform")


def learner_of(name, **options):
    model = classifier() if name == "protomaml" else embedding()
    return meta_tf.MetaLearner(model, ALL[name], CE, name="learner", **options)


def task(labels=(0, 1, 1, 2), queries=6, seed=0):
    """One task: support x and y, query x and y."""
    rng = np.random.default_rng(seed)
    x, q = (rng.standard_normal([n, 4]) for n in (len(labels), queries))
    floatx = keras.config.floatx()
    return x.astype(floatx), np.array(labels), q.astype(floatx), np.arange(queries) % WAYS


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def newton(x, y, lam):
    """Weights [D, N] of least cross-entropy + lam/2 |W|², by Newton's method on all D N of them.

    Classes without an example are not among those told apart.
    """
    w = np.zeros([x.shape[1], y.shape[1]])
    for _ in range(20):
        p = np.exp(x @ w) * y.any(0)
        p /= p.sum(1, keepdims=True)
        gradient = x.T @ (p - y) + lam * w
        bend = [
            np.kron(np.outer(s, s), np.diag(q) - np.outer(q, q)) for s, q in zip(x, p, strict=True)
        ]
        step = np.linalg.solve(sum(bend) + lam * np.eye(w.size), gradient.reshape(-1))
        w -= step.reshape(w.shape)
    return w


def own_logits(name, x, labels, query):
    """The definitions, written out number by number."""
    logits = np.full([len(query), WAYS], -np.inf)
    solved = x.T @ np.linalg.inv(x @ x.T + 0.5 * np.eye(len(x))) @ np.eye(WAYS)[labels]
    logistic = newton(unit(x), np.eye(WAYS)[labels], 0.5)
    for q, point in enumerate(query):
        weights = np.exp([5.0 * cosine(point, s) for s in x])
        for n in set(labels):
            mean = np.mean(x[labels == n], 0)
            logits[q, n] = {
                "euclidean": -np.sum((point - mean) ** 2),
                "cosine": -10.0 * (1 - cosine(point, mean)),
                "attention": np.log(np.sum(weights[labels == n]) / np.sum(weights)),
                "ridge": 4.0 * point @ solved[:, n],
                "logistic": 3.0 * unit(point) @ logistic[:, n],
            }[name]
    return logits


@every_embedding
@pytest.mark.parametrize("labels", [[0, 1, 2], [2, 0, 0, 1, 0, 2], [0, 2, 2], [1]], ids=str)
def test_predictions_match_the_definition(name, labels, double_precision):
    # One shot; unequal shots, out of order; a class without examples; a single example.
    learner, (x, labels, query, _) = learner_of(name), task(labels)
    given = learner.adapt(x, labels)(query).numpy()
    f = learner.model
    expected = own_logits(name, f(x).numpy(), labels, f(query).numpy())
    # The adapted model leaves out the classes behind the last one that it has seen.
    assert not np.isfinite(expected[:, given.shape[1] :]).any()
    expected = expected[:, : given.shape[1]]
    seen = np.isfinite(expected)
    np.testing.assert_allclose(given[seen], expected[seen], rtol=1e-10)
    assert np.all(np.isfinite(given)) and np.all(given[~seen] < -1e8)


@every_embedding
def test_the_number_of_steps_changes_nothing(name):
    learner, (x, labels, query, _) = learner_of(name), task()
    once = learner.adapt(x, labels)(query)
    np.testing.assert_array_equal(learner.adapt(x, labels, steps=3)(query), once)


@pytest.mark.parametrize("mode", ["transductive", "support", "running"])
def test_each_batch_norm_mode_takes_its_statistics(mode, double_precision):
    norm = keras.layers.BatchNormalization(epsilon=1e-5)
    model = keras.Sequential([keras.Input([4]), norm])
    norm.moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    norm.moving_variance.assign([1.0, 2.0, 3.0, 4.0])
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(WAYS), CE, batch_norm=mode)
    x, labels, query, _ = task()
    own = [(t.mean(0), t.var(0)) for t in (x, query)]
    moving = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    of_support, of_query = {
        "transductive": own,
        "support": [own[0], own[0]],
        "running": [moving, moving],
    }[mode]

    def normalised(t, statistics):
        return (t - statistics[0]) / np.sqrt(statistics[1] + 1e-5)

    expected = own_logits(
        "euclidean", normalised(x, of_support), labels, normalised(query, of_query)
    )
    np.testing.assert_allclose(learner.adapt(x, labels)(query), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["euclidean", "protomaml"])
def test_training_counts_every_pass_once(name, double_precision):
    # Moving means of momentum m, from 0, over k passes of the support and one of the query set:
    # m (1 - mᵏ) μ_S + (1 - m) μ_Q. ProtoNet has one pass, ProtoMAML one a step: that for its
    # prototypes is the first step's once more.
    m, passes = 0.9, 1 if name == "euclidean" else ALL[name].inner_steps
    norm = keras.layers.BatchNormalization(momentum=m)
    last = [] if name == "euclidean" else [keras.layers.Dense(WAYS, name="head")]
    network = Network(keras.Sequential([keras.Input([4]), norm, *last]), CE)
    x, labels, query, query_y = map(tf.constant, task())
    result = ALL[name].meta_gradients(
        network, network.weights, Examples(x, labels), Examples(query, query_y)
    )
    means = [np.mean(t, 0) for t in (x, query)]
    expected = m * (1 - m**passes) * means[0] + (1 - m) * means[1]
    np.testing.assert_allclose(result.state[0], expected, rtol=1e-12)


def test_protomaml_without_steps_is_a_prototypical_network(double_precision):
    # -s |q - c_n|² = s (2 q·c_n - |c_n|² - |q|²), of which ProtoMAML leaves out the last.
    (x, labels, query, _), s = task([0, 2, 2]), 0.3
    learner = meta_tf.MetaLearner(classifier(), meta_tf.ProtoMAML(scale=s), CE)
    body = keras.Sequential(learner.model.layers[:-1])
    q = body(query).numpy()
    expected = s * own_logits("euclidean", body(x).numpy(), labels, q)
    given = learner.adapt(x, labels, steps=0)(query).numpy() - s * np.sum(q**2, 1, keepdims=True)
    np.testing.assert_allclose(given[:, [0, 2]], expected[:, [0, 2]], rtol=1e-11)
    assert np.all(given[:, 1] < -1e8)


@pytest.mark.parametrize("unroll", [0, 8])
def test_protomaml_is_maml_from_the_prototypes(unroll, double_precision):
    x, labels, query, _ = task()
    model = classifier()
    algorithm = meta_tf.ProtoMAML(LR, inner_steps=3, unroll=unroll)
    given = meta_tf.MetaLearner(model, algorithm, CE).adapt(x, labels)(query)
    embedded = keras.Sequential(model.layers[:-1])(x).numpy()
    c = np.array([embedded[labels == n].mean(0) for n in range(WAYS)])
    model.layers[-1].set_weights([2 * c.T, -np.sum(c**2, 1)])
    maml = meta_tf.MetaLearner(model, meta_tf.MAML(LR, inner_steps=3), CE)
    np.testing.assert_allclose(given, maml.adapt(x, labels)(query), rtol=1e-11)


def _softmax_error(logits, labels):
    """The gradient of the mean cross-entropy with respect to the logits."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return (e / e.sum(1, keepdims=True) - np.eye(WAYS)[labels]) / len(labels)


@pytest.mark.parametrize("first_order", [False, True])
def test_the_gradient_of_protomaml_goes_through_the_prototypes(first_order, double_precision):
    # f(x) = x V. One step from W = 2 cᵀ, b = -|c|² with c the class means of x V. First order
    # holds the step's gradients still, and lets the prototypes move with V.
    x, labels, query, query_y = task()
    stack = [keras.layers.Dense(2, use_bias=False), keras.layers.Dense(WAYS, name="head")]
    model = keras.Sequential([keras.Input([4]), *stack])
    v0 = model.get_weights()[0]

    def step(v):
        z = x @ v
        c = np.array([z[labels == n].mean(0) for n in range(WAYS)])
        w, b = 2 * c.T, -np.sum(c**2, 1)
        error = _softmax_error(z @ w + b, labels)
        return (v, w, b), (x.T @ error @ w.T, z.T @ error, error.sum(0))

    _, still = step(v0)

    def query_loss(v):
        start, gradients = step(v)
        v, w, b = (
            s - LR * g for s, g in zip(start, still if first_order else gradients, strict=True)
        )
        logits = query @ v @ w + b
        log_sum = np.log(np.sum(np.exp(logits), 1))
        return np.mean(log_sum - logits[np.arange(len(query_y)), query_y])

    measured, h = np.zeros_like(v0), 1e-3
    for place in np.ndindex(*v0.shape):
        one = np.zeros_like(v0)
        one[place] = h
        near = query_loss(v0 + one) - query_loss(v0 - one)
        measured[place] = (8 * near - query_loss(v0 + 2 * one) + query_loss(v0 - 2 * one)) / 12 / h

    algorithm = meta_tf.ProtoMAML(LR, inner_steps=1, first_order=first_order)
    network = Network(model, CE)
    support, query_set = Examples(*map(tf.constant, (x, labels))), (query, query_y)
    result = algorithm.meta_gradients(
        network, network.weights, support, Examples(*map(tf.constant, query_set))
    )
    np.testing.assert_allclose(result.loss, query_loss(v0), rtol=1e-12)
    np.testing.assert_allclose(result.gradients[0], measured, rtol=1e-7, atol=1e-10)
    for own in result.gradients[1:]:  # the head's weights are used by no task
        np.testing.assert_array_equal(own, np.zeros_like(own))


@pytest.mark.parametrize("name", few(ALL, "ridge", "protomaml", others=exhaustive))
def test_an_adapted_model_predicts_evaluates_and_is_saved(name, tmp_path):
    learner, (x, labels, query, query_y) = learner_of(name), task()
    fitted = learner.adapt(x, labels)
    predictions = fitted.predict(query, verbose=0)
    assert predictions.shape == (6, WAYS)
    assert fitted.compute_output_spec(keras.KerasTensor([None, 4])).shape == (None, WAYS)
    fitted.compile("sgd", CE, metrics=["accuracy"])
    _, accuracy = fitted.evaluate(query, query_y, verbose=0)
    np.testing.assert_allclose(accuracy, np.mean(predictions.argmax(-1) == query_y), rtol=1e-6)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.models.load_model(tmp_path / "fitted.keras")
    np.testing.assert_array_equal(loaded.predict(query, verbose=0), predictions)


@pytest.mark.parametrize("name", few_slow(ALL, "ridge", "protomaml"))
def test_a_learner_trains_and_is_saved(name, tmp_path):
    x, labels, query, query_y = (np.stack([t, t]) for t in task())
    sets = {"support_x": x, "support_y": labels, "query_x": query}
    learner = learner_of(name)
    learner.compile(keras.optimizers.SGD(0.05), metrics=["accuracy"], jit_compile=False)
    symbolic = keras.tree.map_structure(lambda t: keras.KerasTensor(t.shape, t.dtype.name), sets)
    assert learner.compute_output_spec(symbolic).shape == (2, 6, WAYS)
    losses = [learner.train_on_batch(sets, query_y)[0] for _ in range(5)]
    assert losses[-1] < losses[0]
    predictions = learner.predict(sets, verbose=0)
    loss, accuracy = learner.evaluate(sets, query_y, verbose=0)
    log_sum = np.log(np.sum(np.exp(predictions), -1))
    right = np.take_along_axis(predictions, query_y[..., None], -1)[..., 0]
    np.testing.assert_allclose(loss, np.mean(log_sum - right), rtol=1e-5)
    np.testing.assert_allclose(accuracy, np.mean(predictions.argmax(-1) == query_y), rtol=1e-6)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.algorithm == learner.algorithm
    np.testing.assert_array_equal(loaded.predict(sets, verbose=0), predictions)


@pytest.mark.parametrize("name", few(ALL, "ridge", "protomaml", others=exhaustive))
def test_an_export_learns_any_number_of_examples(name, tmp_path):
    learner = learner_of(name)
    learner.export(tmp_path / "out")
    run = tf.saved_model.load(tmp_path / "out").signatures
    names = {"serving_default", "adapt_and_predict", "adapt", "predict"}
    on_embeddings = {"embed", "adapt_embedded", "predict_embedded"}
    assert set(run) == names | (
        {"adapt_steps_and_predict"} if name == "protomaml" else on_embeddings
    )
    for labels in ([0, 1, 2], [2, 2, 0, 1, 1, 0, 0, 2]):  # fewer than features, and more
        x, y, query, _ = task(labels)
        y = y.astype("int32")
        expected = learner.adapt(x, y)(query)
        whole = run["adapt_and_predict"](support_x=x, support_y=y, query_x=query)
        np.testing.assert_allclose(whole["predictions"], expected, rtol=1e-4, atol=1e-5)
        parts = run["predict"](query_x=query, **run["adapt"](support_x=x, support_y=y))
        np.testing.assert_allclose(parts["predictions"], expected, rtol=1e-4, atol=1e-5)
        if name != "protomaml":  # whose inner steps change the network
            embedded, new = (run["embed"](x=each)["embeddings"] for each in (x, query))
            np.testing.assert_allclose(embedded, learner.model(x), rtol=1e-5, atol=1e-6)
            weights = run["adapt_embedded"](support_x=embedded, support_y=y)
            found = run["predict_embedded"](query_x=new, **weights)["predictions"]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    if name == "euclidean":  # nothing but what the task has made
        assert set(run["adapt"].structured_outputs) == {"prototypes", "unseen"}
    if name == "protomaml":
        given = {"inner_steps": tf.constant(1), "inner_lr": tf.constant(0.03)}
        found = run["adapt_steps_and_predict"](support_x=x, support_y=y, query_x=query, **given)
        other = meta_tf.MetaLearner(learner.model, meta_tf.ProtoMAML(0.03, 1), CE)
        expected = other.adapt(x, y)(query)
        np.testing.assert_allclose(found["predictions"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        slow("euclidean", "mixed_bfloat16"),
        slow("ridge", "mixed_float16"),
        *(exhaustive(name, "mixed_float16") for name in ALL if name != "ridge"),
    ],
)
def test_mixed_precision_learns_nearly_the_same(name, policy):
    # One step of SGD against the same in float32; the two differ by the low precision alone.
    x, labels, query, query_y = (np.stack([t, t]) for t in task())
    sets, after = {"support_x": x, "support_y": labels, "query_x": query}, []
    for precision in ("float32", policy):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(precision)
        learner = learner_of(name)
        optimizer = keras.optimizers.SGD(0.1)
        if precision == "mixed_float16":  # the usual scale is meant to fall before it fits
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)
        learner.compile(optimizer, jit_compile=False)
        before = [v.numpy() for v in learner.trainable_variables]
        learner.train_on_batch(sets, query_y)
        moved = [v.numpy() - b for v, b in zip(learner.trainable_variables, before, strict=True)]
        after.append(np.concatenate([np.ravel(m) for m in moved]))
    assert learner(sets).dtype == ("float32" if name in EMBEDDING else learner.compute_dtype)
    assert np.linalg.norm(after[1] - after[0]) < 0.05 * np.linalg.norm(after[0])


def class_tasks(ways, **sizes):
    examples = np.random.default_rng(0).normal(size=[300, 4]).astype("float32")
    return meta_tf.tasks.from_arrays(examples, np.arange(300) % 30, ways=ways, **sizes)


@pytest.mark.parametrize(
    "name", ["euclidean", slow("ridge"), exhaustive("attention"), exhaustive("protomaml")]
)
def test_trained_on_more_ways_it_tells_fewer_apart(name):
    # Of the classes that a task does not have, none is ever taken.
    learner = learner_of(name)
    x, query_y = next(iter(class_tasks(2, shots=2, queries=4).test.batches(5)))
    predictions = learner.predict(x, verbose=0)
    assert predictions.shape == (5, 8, WAYS)
    assert set(np.unique(predictions.argmax(-1))) <= {0, 1}
    assert np.isfinite(learner.network.mean_loss(query_y, predictions))


def test_evaluation_says_nothing_of_steps_where_there_are_none():
    learner, tasks = learner_of("euclidean"), class_tasks(WAYS, shots=2, queries=4)
    result = meta_tf.evaluate(learner, tasks.test, tasks_number=6, baselines=False)
    assert result.steps == (0,)
    x, y = next(iter(tasks.test.batches(6)))
    right = np.mean(learner.predict(x, verbose=0).argmax(-1) == y, 1)
    np.testing.assert_allclose(result.per_task[:, 0], right, rtol=1e-6)
    lines = [line.split() for line in str(result).splitlines()]
    ci95 = 196 * np.std(right, ddof=1) / np.sqrt(6)
    assert f"accuracy in % {100 * right.mean():.2f} ± {ci95:.2f}".split() in lines
    assert "inner steps" not in str(result)
    assert "inner steps" in str(meta_tf.evaluate(learner_of("protomaml"), tasks.test, 2, steps=0))
    (axes,) = plots.inner_steps(result).axes
    (bar,) = axes.containers  # the interval, which a band of no width would not show
    low, high = bar.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose([low, high], 100 * right.mean() + np.array([-ci95, ci95]))


def test_a_trajectory_is_adaptation_with_0_1_2_steps(double_precision):
    algorithm, (x, labels, _, _) = ALL["protomaml"], map(tf.constant, task())
    network, support = Network(classifier(), CE), Examples(x, labels)
    path = algorithm.trajectory(network, network.weights, support, lambda w: w.model, steps=2)
    for k in range(3):
        same = algorithm.adapt(network, network.weights, support, steps=k).model
        for a, b in zip(path, same, strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: meta_tf.ProtoNet(1), "ways"),
        (lambda: meta_tf.ProtoNet(2, "manhattan"), "distance"),
        (lambda: meta_tf.ProtoNet(2, scale=0), "scale"),
        (lambda: meta_tf.MatchingNet(2.5), "ways"),
        (lambda: meta_tf.MatchingNet(2, -1), "scale"),
        (lambda: meta_tf.R2D2(0), "ways"),
        (lambda: meta_tf.R2D2(2, 0.0), "regularization"),
        (lambda: meta_tf.R2D2(2, scale=float("nan")), "scale"),
        (lambda: meta_tf.ProtoMAML(0), "inner_lr"),
        (lambda: meta_tf.ProtoMAML(inner_steps=-1), "inner_steps"),
        (lambda: meta_tf.ProtoMAML(eval_steps=0.5), "eval_steps"),
        (lambda: meta_tf.ProtoMAML(scale=0), "scale"),
        (lambda: meta_tf.ProtoMAML(unroll=-1), "unroll"),
    ],
)
def test_a_wrong_setting_is_named(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make()


def _images():
    return keras.Sequential([keras.Input([6, 6, 1]), keras.layers.Conv2D(2, 3)], name="images")


def _two_outputs():
    x = keras.Input([4])
    return keras.Model(x, [keras.layers.Dense(2)(x), keras.layers.Dense(3)(x)], name="pair")


@pytest.mark.parametrize("algorithm", list(EMBEDDING.values())[1:], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("model", [_images, _two_outputs])
def test_a_model_that_is_no_embedding_is_named(algorithm, model):
    message = rf"`model` must return an embedding.* {type(algorithm).__name__}.*{model().name!r}"
    if model is _two_outputs:
        message = "`model` must have a single output.*'pair'"
    with pytest.raises(ValueError, match=message):
        meta_tf.MetaLearner(model(), algorithm, CE)


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.Dense(3, name="top"),
        keras.layers.Dense(3, activation="relu", name="head"),
        keras.layers.Dense(3, use_bias=False, name="head"),
        keras.layers.Dense(3, trainable=False, name="head"),
        keras.layers.Activation("relu", name="head"),
    ],
    ids=["name", "activation", "bias", "frozen", "kind"],
)
def test_a_model_without_such_a_head_is_named(last):
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(5), last], name="net")
    with pytest.raises(ValueError, match=r"`model` must end in .*Dense layer named 'head'.*'net'"):
        meta_tf.MetaLearner(model, meta_tf.ProtoMAML(), CE)


@every_embedding
def test_wrong_labels_are_named(name):
    learner, (x, labels, _, _) = learner_of(name), task()
    with pytest.raises(ValueError, match="below 3, the number of the algorithm's `ways`"):
        learner.adapt(x, labels + 1)
    with pytest.raises(ValueError, match=r"must be class numbers \[S\].*shape \(4, 3\)"):
        learner.adapt(x, np.eye(WAYS)[labels])
