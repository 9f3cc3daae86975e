"""`InContext`: what attention over the support pairs must not and must depend on."""

import keras
import numpy as np
import pytest

import meta_tf


def learner(ways=None):
    keras.utils.set_random_seed(0)
    model = meta_tf.models.mlp(2, None, (8,), "gelu", "glorot_uniform")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if ways else "mse"
    made = meta_tf.MetaLearner(model, meta_tf.InContext(ways, width=8, blocks=2, heads=2), loss)
    rng = np.random.default_rng(0)
    for v in made.trainable_variables:  # off the zeros of the start
        v.assign(v + 0.3 * rng.standard_normal(v.shape))
    return made


def task(ways, size=6):
    rng = np.random.default_rng(1)
    x = rng.normal(size=[size, 2]).astype("float32")
    y = np.arange(size) % ways if ways else rng.normal(size=[size, 1]).astype("float32")
    return x, y, rng.normal(size=[5, 2]).astype("float32")


@pytest.mark.parametrize("ways", [None, 3])
def test_the_order_of_the_support_set_does_not_matter_but_its_pairs_do(ways):
    made, (x, y, query) = learner(ways), task(ways)
    expected = made.adapt(x, y).predict(query, verbose=0)
    order = np.random.default_rng(2).permutation(len(x))
    turned = made.adapt(x[order], y[order]).predict(query, verbose=0)
    np.testing.assert_allclose(turned, expected, rtol=1e-4, atol=1e-5)
    mixed = made.adapt(x[order], y).predict(query, verbose=0)
    assert np.abs(mixed - expected).max() > 1e-2


@pytest.mark.parametrize("ways", [None, 3])
def test_a_prediction_does_not_depend_on_its_company(ways):
    made, (x, y, query) = learner(ways), task(ways)
    fitted = made.adapt(x, y)
    together = fitted.predict(query, verbose=0)
    alone = [fitted.predict(query[i : i + 1], verbose=0)[0] for i in range(len(query))]
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ways", [None, 3])
def test_support_sets_of_any_size(ways):
    made = learner(ways)
    for size in (3, 9, 20):
        x, y, query = task(ways, size)
        assert np.isfinite(made.adapt(x, y).predict(query, verbose=0)).all()
