"""The classifiers without training, and the closed forms below them, against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from meta_tf.layers import classifiers
from meta_tf.layers.heads import AttentionMatching, Prototypes, RidgeRegressionHead

WAYS = 3
HEADS = [
    Prototypes(WAYS, name="euclidean"),
    Prototypes(WAYS, "cosine", 10.0, name="cosine"),
    AttentionMatching(WAYS, 5.0, name="attention"),
    RidgeRegressionHead(WAYS, 0.5, 4.0, name="ridge"),
]
every_head = pytest.mark.parametrize("kind", range(len(HEADS)), ids=[h.name for h in HEADS])


def head(kind):
    """A new layer of this kind, in the present precision."""
    config = HEADS[kind].get_config()
    return type(HEADS[kind]).from_config({**config, "dtype": keras.config.dtype_policy()})


@pytest.fixture
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def task(labels, features=4, queries=5, seed=0):
    """Embeddings of a support set with these labels, the labels, and those of a query set."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal
    return normal([len(labels), features]), np.array(labels), normal([queries, features])


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def own_logits(kind, x, labels, query):
    """The definitions, written out number by number."""
    logits = np.full([len(query), WAYS], -np.inf)
    solved = x.T @ np.linalg.inv(x @ x.T + 0.5 * np.eye(len(x))) @ np.eye(WAYS)[labels]
    for q, point in enumerate(query):
        weights = np.exp([5.0 * cosine(point, s) for s in x])
        for n in set(labels):
            mean = np.mean(x[labels == n], 0)
            logits[q, n] = {
                "euclidean": -np.sum((point - mean) ** 2),
                "cosine": -10.0 * (1 - cosine(point, mean)),
                "attention": np.log(np.sum(weights[labels == n]) / np.sum(weights)),
                "ridge": 4.0 * point @ solved[:, n],
            }[HEADS[kind].name]
    return logits


@every_head
@pytest.mark.parametrize("labels", [[0, 1, 2], [2, 0, 0, 1, 0, 2], [0, 2, 2], [1]], ids=str)
def test_logits_match_the_definition(kind, labels, double_precision):
    # One shot; unequal shots, out of order; a class without examples; a single example.
    x, labels, query = task(labels)
    given = head(kind)(x, labels, query).numpy()
    expected = own_logits(kind, x, labels, query)
    seen = np.isfinite(expected)
    np.testing.assert_allclose(given[seen], expected[seen], rtol=1e-11)
    assert np.all(np.isfinite(given))
    assert np.all(given[~seen] < -1e8)


def slope(f, h=1e-3):
    """f'(0) from four points, with an error of the order h⁴."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


@every_head
def test_the_gradient_is_that_of_finite_differences(kind, double_precision):
    layer, (x, labels, query) = head(kind), task([0, 2, 2, 0])
    sources = [tf.constant(x), tf.constant(query)]

    def loss(x, query):
        values = keras.losses.sparse_categorical_crossentropy(
            np.array([0, 2, 0, 2, 2]), layer(x, labels, query), from_logits=True
        )
        return tf.reduce_mean(values)

    with tf.GradientTape() as tape:
        tape.watch(sources)
        value = loss(*sources)
    gradients = tape.gradient(value, [*sources, *[v.value for v in layer.trainable_variables]])
    rng = np.random.default_rng(1)
    ways = [rng.standard_normal(s.shape) for s in sources]
    along = sum(np.sum(g * d) for g, d in zip(gradients, ways, strict=False))
    measured = slope(
        lambda h: float(loss(*(s + h * d for s, d in zip(sources, ways, strict=True))))
    )
    np.testing.assert_allclose(along, measured, rtol=1e-7)
    for variable, gradient in zip(layer.trainable_variables, gradients[2:], strict=True):
        start = variable.numpy()

        def moved(h, variable=variable, start=start):
            variable.assign(start + h)
            return float(loss(*sources))

        np.testing.assert_allclose(gradient, slope(moved), rtol=1e-7, atol=1e-11)
        variable.assign(start)


def test_far_from_all_the_attention_does_not_vanish():
    # In float32, e⁻²⁰⁰ is 0, whose logarithm has no gradient. Cosines 1 and -1: log p = -200.
    x, query = tf.constant([[1.0, 0.0], [-1.0, 0.0]]), tf.constant([[3.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = AttentionMatching(2, 100.0)(x, tf.constant([0, 1]), query)
    np.testing.assert_allclose(logits, [[0.0, -200.0]], atol=1e-4)
    assert np.all(np.isfinite(tape.gradient(logits, x)))


@every_head
def test_an_embedding_of_zeros_has_a_gradient(kind):
    # What dead units answer: cosines divide by its length.
    layer, x = head(kind), tf.zeros([3, 4])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.nn.log_softmax(layer(x, tf.range(3), x))[:, 0])
    assert np.all(np.isfinite(tape.gradient(loss, x)))


@every_head
def test_a_query_of_zeros_has_a_small_gradient(kind):
    # The slope of a cosine has no bound near 0; it counts as 0 there.
    layer, (x, labels, query) = head(kind), task([0, 1, 2])
    query = tf.constant(np.zeros_like(query), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(query)
        loss = tf.reduce_sum(tf.nn.log_softmax(layer(x.astype("float32"), labels, query))[:, 0])
    assert np.linalg.norm(tape.gradient(loss, query)) < 100


@every_head
@pytest.mark.parametrize("labels", [[0, 1, WAYS], [0, -1, 1], [0, 1, 0.5]], ids=str)
def test_a_label_out_of_range_is_named(kind, labels):
    x, _, query = task([0, 1, 2])
    with pytest.raises(ValueError, match=f"class numbers 0 to {WAYS - 1}.*Received: "):
        head(kind)(x, tf.constant(labels), query)


@pytest.mark.parametrize(("examples", "features"), [(3, 7), (7, 3), (4, 4), (1, 5), (5, 1)])
def test_both_forms_of_ridge_regression_are_its_solution(examples, features):
    # The gradient of |x W - y|² + λ |W|² vanishes: xᵀ (x W - y) + λ W = 0.
    rng, lam = np.random.default_rng(0), 0.3
    x, y = rng.standard_normal([examples, features]), rng.standard_normal([examples, 2])
    by_features = np.linalg.solve(x.T @ x + lam * np.eye(features), x.T @ y)
    by_examples = x.T @ np.linalg.solve(x @ x.T + lam * np.eye(examples), y)
    solved = classifiers.ridge(tf.constant(x), tf.constant(y), lam).numpy()
    np.testing.assert_allclose(solved, by_features, rtol=1e-10)
    np.testing.assert_allclose(solved, by_examples, rtol=1e-10)
    np.testing.assert_allclose(x.T @ (x @ solved - y) + lam * solved, 0, atol=1e-12)


@pytest.mark.parametrize(("examples", "features"), [(3, 6), (6, 3)])
def test_the_smaller_system_is_solved(examples, features):
    x, y = tf.TensorSpec([examples, features]), tf.TensorSpec([examples, 2])
    solve = tf.function(lambda x, y: classifiers.ridge(x, y, 1.0), autograph=False)
    operations = solve.get_concrete_function(x, y).graph.get_operations()
    (cholesky,) = (op for op in operations if op.type == "Cholesky")
    assert cholesky.outputs[0].shape == [3, 3]


def test_ridge_takes_any_number_of_examples_at_run_time():
    rng = np.random.default_rng(0)
    specs = [tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None, 2], tf.float64)]
    solve = tf.function(lambda x, y: classifiers.ridge(x, y, 0.3), input_signature=specs)
    for examples in (2, 8):
        x, y = rng.standard_normal([examples, 3]), rng.standard_normal([examples, 2])
        expected = np.linalg.solve(x.T @ x + 0.3 * np.eye(3), x.T @ y)
        np.testing.assert_allclose(solve(x, y), expected, rtol=1e-10)


@every_head
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_computed_in_float32(kind, policy):
    x, labels, query = task([0, 1, 1, 2])
    low = policy.removeprefix("mixed_")
    rounded = [tf.cast(tf.cast(t, low), tf.float32) for t in (x, query)]
    expected = head(kind)(rounded[0], labels, rounded[1])
    keras.config.set_dtype_policy(policy)
    layer = head(kind)
    given = layer(tf.constant(x, tf.float32), labels, tf.constant(query, tf.float32))
    assert given.dtype == tf.float32
    np.testing.assert_allclose(given, expected, rtol=1e-6)
    symbolic = layer(keras.Input([4]), keras.Input([], dtype="int32"), keras.Input([4]))
    assert (symbolic.shape, symbolic.dtype) == ((None, WAYS), "float32")


@every_head
def test_a_model_of_yours_learns_with_it_and_is_saved(kind, tmp_path):
    support, labels, query = keras.Input([4]), keras.Input([], dtype="int32"), keras.Input([4])
    encode = keras.layers.Dense(3, name="encode")
    logits = head(kind)(encode(support), labels, encode(query))
    model = keras.Model([support, labels, query], logits)
    x, y, new = task([0, 1, 1, 2])
    arrays = [x.astype("float32"), y, new.astype("float32")]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.train_on_batch(arrays, np.array([0, 1, 2, 0, 1]))
    moved = {v.path for v in model.trainable_variables if np.any(v.numpy() != before[v.path])}
    own = {"ridge/log_lambda", "ridge/scale"} if HEADS[kind].name == "ridge" else set()
    assert {"encode/kernel"} | own <= moved
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(arrays), model(arrays))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Prototypes(1), "ways"),
        (lambda: Prototypes(2, "manhattan"), "distance"),
        (lambda: Prototypes(2, scale=0), "scale"),
        (lambda: AttentionMatching(2.5), "ways"),
        (lambda: AttentionMatching(2, -1), "scale"),
        (lambda: RidgeRegressionHead(0), "ways"),
        (lambda: RidgeRegressionHead(2, 0.0), "regularization"),
        (lambda: RidgeRegressionHead(2, scale=float("nan")), "scale"),
    ],
)
def test_a_wrong_setting_is_named(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        make()


def test_targets_that_are_not_class_numbers_are_named():
    with pytest.raises(ValueError, match=r"must be class numbers \[S\].*shape \(3, 3\)"):
        classifiers.one_hot(tf.eye(3), 3, tf.float32)
