"""`AdaptedModel`: what `MetaLearner.adapt` returns."""

import keras
import numpy as np
import tensorflow as tf

import meta_tf
from tests.learners import CE, classifier, make_batch, make_learner


def test_what_adapt_returns_is_a_model_of_its_own(tmp_path):
    x, y = make_batch()
    support, query = (x["support_x"][0], x["support_y"][0]), x["query_x"][0]
    learner = make_learner(algorithm=meta_tf.MetaSGD(inner_lr=0.1))
    fitted = learner.adapt(*support)
    before = fitted.predict(query, verbose=0)
    assert isinstance(fitted, keras.Model)
    np.testing.assert_allclose(before, learner.predict(x, verbose=0)[0], rtol=1e-5, atol=1e-6)
    learner.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(fitted.predict(query, verbose=0), before)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.models.load_model(tmp_path / "fitted.keras")
    np.testing.assert_array_equal(loaded.predict(query, verbose=0), before)
    fitted.compile("sgd", CE, metrics=["accuracy"])
    assert len(fitted.evaluate(query, y[0], verbose=0)) == 2
    fitted.fit(query, y[0], verbose=0)
    assert not np.array_equal(fitted.predict(query, verbose=0), before)


def test_adapt_takes_any_number_of_steps():
    model, (x, _) = classifier(), make_batch()
    learner = make_learner(model, compiled=False)
    support, query = (x["support_x"][0], x["support_y"][0]), x["query_x"][0]
    plain = model.predict(query, verbose=0)
    np.testing.assert_allclose(learner.adapt(*support, steps=0)(query), plain, rtol=1e-6)
    at_once = learner.adapt(*support, steps=5)(query)
    learner.model.set_weights(learner.adapt(*support, steps=2).get_weights()[:5])
    np.testing.assert_allclose(learner.adapt(*support, steps=3)(query), at_once, rtol=1e-5)


def test_an_adapted_model_is_exported_by_keras(tmp_path):
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), loss="mse")
    x = np.linspace(-1, 1, 6, dtype="float32")[:, None]
    fitted = learner.adapt(x, x)
    fitted.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(x), fitted(x), rtol=1e-6, atol=1e-7)
