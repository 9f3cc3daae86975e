"""`InContext`: what attention over the support pairs must not and must depend on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf

KINDS = {"regression": (None, "linear"), "classes": (3, "linear"), "votes": (3, "votes")}
every_kind = pytest.mark.parametrize(("ways", "answer"), KINDS.values(), ids=KINDS)


def learner(ways=None, answer="linear"):
    keras.utils.set_random_seed(0)
    model = meta_tf.models.mlp(2, None, (8,), "gelu", "glorot_uniform")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if ways else "mse"
    algorithm = meta_tf.InContext(ways, width=8, blocks=2, heads=2, answer=answer)
    made = meta_tf.MetaLearner(model, algorithm, loss)
    rng = np.random.default_rng(0)
    for v in made.trainable_variables:  # off the zeros of the start
        v.assign(v + 0.3 * rng.standard_normal(v.shape))
    return made


def task(ways, size=6):
    rng = np.random.default_rng(1)
    x = rng.normal(size=[size, 2]).astype("float32")
    y = np.arange(size) % ways if ways else rng.normal(size=[size, 1]).astype("float32")
    return x, y, rng.normal(size=[5, 2]).astype("float32")


@every_kind
def test_the_order_of_the_support_set_does_not_matter_but_its_pairs_do(ways, answer):
    made, (x, y, query) = learner(ways, answer), task(ways)
    expected = made.adapt(x, y).predict(query, verbose=0)
    order = np.random.default_rng(2).permutation(len(x))
    turned = made.adapt(x[order], y[order]).predict(query, verbose=0)
    np.testing.assert_allclose(turned, expected, rtol=1e-4, atol=1e-5)
    mixed = made.adapt(x[order], y).predict(query, verbose=0)
    assert np.abs(mixed - expected).max() > 1e-2


@every_kind
def test_a_prediction_does_not_depend_on_its_batch(ways, answer):
    made, (x, y, query) = learner(ways, answer), task(ways)
    fitted = made.adapt(x, y)
    together = fitted.predict(query, verbose=0)
    alone = [fitted.predict(query[i : i + 1], verbose=0)[0] for i in range(len(query))]
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


@every_kind
def test_support_sets_of_any_size(ways, answer):
    made = learner(ways, answer)
    for size in (3, 9, 20):
        x, y, query = task(ways, size)
        assert np.isfinite(made.adapt(x, y).predict(query, verbose=0)).all()


def test_votes_are_what_the_docstring_says():
    """Beside NumPy: tokens, blocks, and attention over the support set's tokens."""
    made, (x, y, query) = learner(3, "votes"), task(3)
    weights = {n: v.numpy().astype(float) for n, v in made.weights_now.meta.items()}
    numpy_f = made.model(np.concatenate([x, query])).numpy().astype(float)

    def dense(name, x):
        return x @ weights[f"{name}_kernel"] + weights[f"{name}_bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * weights[f"{name}_scale"] + weights[f"{name}_shift"]

    def softmax(x):
        x = np.exp(x - x.max(-1, keepdims=True))
        return x / x.sum(-1, keepdims=True)

    def block(name, x, seen):
        seen = norm(f"{name}_norm_seen", seen)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            q = dense(f"{name}_query", norm(f"{name}_norm", x))[:, part]
            k, v = (dense(f"{name}_{of}", seen)[:, part] for of in ("key", "value"))
            heads.append(softmax(q @ k.T / np.sqrt(4)) @ v)
        x = x + dense(f"{name}_output", np.concatenate(heads, -1))
        wide = keras.ops.gelu(dense(f"{name}_wide", norm(f"{name}_norm_wide", x)), False)
        return x + dense(f"{name}_narrow", np.asarray(wide))

    tokens = dense("query", numpy_f)
    s, q = tokens[:6] + weights["labels"][y], tokens[6:]
    for name in ("query1", "query2"):
        s, q = block(name, s, s), block(name, q, s)
    s, q = (
        t / np.linalg.norm(t, axis=-1, keepdims=True) for t in (norm("norm", s), norm("norm", q))
    )
    expected = np.log(softmax(weights["scale"] * q @ s.T) @ np.eye(3)[y])
    np.testing.assert_allclose(made.adapt(x, y).predict(query, verbose=0), expected, rtol=1e-4)


def test_at_first_votes_know_no_class_by_its_number():
    """The rows of the classes begin alike, so numbers may be exchanged: any task is as easy."""
    keras.utils.set_random_seed(0)
    model = meta_tf.models.mlp(2, None, (8,), "gelu", "glorot_uniform")
    algorithm = meta_tf.InContext(3, width=8, blocks=2, heads=2, answer="votes")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made, (x, y, query) = meta_tf.MetaLearner(model, algorithm, loss), task(3)
    other = np.array([2, 0, 1])
    np.testing.assert_allclose(
        made.adapt(x, other[y]).predict(query, verbose=0)[:, other],
        made.adapt(x, y).predict(query, verbose=0),
        rtol=1e-5,
    )


def test_votes_need_classes():
    with pytest.raises(ValueError, match=r'`answer` must be "linear".*Pass `ways`'):
        meta_tf.InContext(answer="votes")


@pytest.mark.slow
def test_a_gaussian_answer_learns_the_mean_and_the_spread():
    # Constant functions: y = c + 0.3 ε, c ~ N(0, 1), of four support points. The best prediction
    # has the variance 0.09 + 1 / (1 + 4 / 0.09), a log-likelihood of -0.2303 a point.
    def constants(seed):
        numbers = tf.random.stateless_normal([9, 1], seed)
        y = numbers[:1] + 0.3 * numbers[1:]
        x = tf.zeros([8, 1])
        return x[:4], y[:4], x[4:], y[4:]

    tasks = meta_tf.tasks.from_function(constants)
    model = meta_tf.models.mlp(1, None, (8,), "gelu", "glorot_uniform")
    algorithm = meta_tf.InContext(width=16, blocks=1, heads=2, answer="gaussian")
    learner = meta_tf.MetaLearner(model, algorithm, meta_tf.GaussianLoss())
    learner.compile(keras.optimizers.Adam(3e-3))
    learner.fit(tasks.train.batches(64), steps_per_epoch=400, verbose=0, shuffle=False)
    x, y = next(iter(tasks.test.batches(500)))
    loss = meta_tf.GaussianLoss()(y, learner.predict_on_batch(x))
    best = 0.5 * np.log(2 * np.pi * np.e * (0.09 + 1 / (1 + 4 / 0.09)))
    assert loss < best + 0.1


def test_a_gaussian_is_for_regression():
    with pytest.raises(ValueError, match="a Gaussian is for regression"):
        meta_tf.InContext(3, answer="gaussian")
