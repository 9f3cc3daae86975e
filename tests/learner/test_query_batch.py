"""Which examples share a query's batch, against each query predicted by hand."""

import keras
import numpy as np
import pytest

import meta_tf

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def learner(batch_norm, algorithm=None):
    model = keras.Sequential(
        [
            keras.Input([3]),
            keras.layers.Dense(8, name="dense"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Activation("relu"),
            keras.layers.Dense(2, name="out"),
        ],
        name="model",
    )
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(rng.normal(size=w.shape)) + 0.1 for w in model.get_weights()])
    return meta_tf.MetaLearner(
        model, algorithm or meta_tf.MAML(0.1, inner_steps=2), loss=LOSS, batch_norm=batch_norm
    )


def tasks(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "support_x": rng.normal(size=[2, 4, 3]).astype("float32"),
        "support_y": np.tile([0, 1, 0, 1], [2, 1]),
        "query_x": rng.normal(size=[2, 5, 3]).astype("float32"),
    }


def by_hand(learner, x, t, batch_with):
    """Each query in a batch of its own, with the support set in front or without."""
    fitted = learner.adapt(x["support_x"][t], x["support_y"][t], steps=2)
    others = x["support_x"][t] if batch_with == "support" else x["support_x"][t][:0]
    return [fitted(np.concatenate([others, q[None]]))[-1].numpy() for q in x["query_x"][t]]


@pytest.mark.parametrize(
    ("batch_with", "algorithm"),
    [
        pytest.param("support", None, id="support-inner_loop"),
        pytest.param("none", meta_tf.ProtoNet(ways=2), id="none-embedding"),
        pytest.param("none", None, id="none-inner_loop", marks=pytest.mark.slow),
        pytest.param(
            "support", meta_tf.ProtoNet(ways=2), id="support-embedding", marks=pytest.mark.slow
        ),
    ],
)
def test_each_query_is_predicted_in_its_own_batch(batch_with, algorithm):
    transductive, x = learner("transductive", algorithm), tasks()
    found = transductive.trajectory(x, 0 if algorithm else 2, batch_with).numpy()[:, -1]
    for t in range(2):
        fitted = transductive.adapt(x["support_x"][t], x["support_y"][t], steps=2)
        others = x["support_x"][t] if batch_with == "support" else None
        wanted = by_hand(transductive, x, t, batch_with)
        np.testing.assert_allclose(found[t], wanted, rtol=1e-5, atol=1e-5)
        one_by_one = fitted.predict_one_by_one(x["query_x"][t], others)
        np.testing.assert_allclose(one_by_one, wanted, rtol=1e-5, atol=1e-5)
    together = transductive.trajectory(x, 0 if algorithm else 2).numpy()[:, -1]
    assert np.abs(found - together).max() > 0.01  # batch_with matters here


@pytest.mark.parametrize("batch_norm", [pytest.param("support", marks=pytest.mark.slow), "running"])
def test_query_batch_means_nothing_in_the_other_modes(batch_norm):
    other, x = learner(batch_norm), tasks()
    together = other.trajectory(x, 2).numpy()
    np.testing.assert_array_equal(other.trajectory(x, 2, "none").numpy(), together)
    fitted = other.adapt(x["support_x"][0], x["support_y"][0])
    for batch_with in (None, x["support_x"][0]):
        alone = fitted.predict_one_by_one(x["query_x"][0], batch_with)
        np.testing.assert_allclose(alone, together[0, -1], rtol=1e-5, atol=1e-6)
    # … since a query alone already is what it is in a batch.
    np.testing.assert_allclose(by_hand(other, x, 0, "none"), together[0, -1], rtol=1e-5, atol=1e-6)


def test_evaluate_measures_and_says_which_examples_share_a_batch():
    transductive, x = learner("transductive"), tasks()
    labels = np.array([[0, 1, 0, 1, 1], [1, 1, 0, 0, 1]])

    class Split:
        def batches(self, tasks, seed=0):
            return [(x, labels)]

    result = meta_tf.evaluate(transductive, Split(), 2, steps=2, batch_with="none", verbose=0)
    for t in range(2):
        right = np.argmax(by_hand(transductive, x, t, "none"), -1) == labels[t]
        assert result.per_task[t, -1] == pytest.approx(right.mean())
    assert result.batch_with == "none" and "each query alone" in str(result)


def test_an_unknown_batch_is_refused():
    with pytest.raises(ValueError, match=r"`batch_with` must be one of .* Received: 'friends'"):
        learner("transductive").trajectory(tasks(), 1, batch_with="friends")
    with pytest.raises(ValueError, match=r"`batch_with` must be \[S, ...\]"):
        fitted = learner("transductive").adapt(tasks()["support_x"][0], [0, 1, 0, 1])
        fitted.predict_one_by_one(tasks()["query_x"][0], batch_with=np.zeros([4, 2], "float32"))
