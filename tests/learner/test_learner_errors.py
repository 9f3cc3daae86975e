"""What `MetaLearner` and `adapt` say to arguments that cannot be meant."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from tests.learners import CE, as_dataset, make_batch, make_learner


def test_compile_takes_no_loss():
    with pytest.raises(
        ValueError, match=r"`loss` is not an argument.*MetaLearner\(model, algorithm, loss"
    ):
        make_learner(compiled=False).compile("adam", loss="mse")
    with pytest.raises(ValueError, match="`steps_per_execution` must be an integer"):
        make_learner(compiled=False).compile("adam", steps_per_execution="auto")


def test_weights_of_samples_are_refused():
    x, y = make_batch()
    with pytest.raises(ValueError, match="`sample_weight` and `class_weight` are not supported"):
        make_learner().fit(x, y, sample_weight=np.ones(4), verbose=0)
    with pytest.raises(ValueError, match=r"must be \(x, y\)"):
        make_learner().fit(x, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((meta_tf.models.mlp, "maml", "mse"), "`algorithm` must be an object"),
        ((meta_tf.models.mlp, None, None), "`loss` must be"),
        ((meta_tf.models.mlp, None, "mse", "batch"), "`batch_norm` must be"),
        ((meta_tf.models.mlp, None, "mse", "running", "serial"), "`task_parallelism` must be"),
        ((lambda: keras.Sequential([keras.layers.Dense(1)]), None, "mse"), "must be built"),
    ],
)
def test_a_wrong_argument_of_the_learner_is_named(arguments, message):
    build, *others = arguments
    with pytest.raises(ValueError, match=message):
        meta_tf.MetaLearner(build(), *others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support_x": None}, "A batch must be.*Received as x: .*'query_x', 'support_y'"),
        (
            {"support_x": np.zeros([4, 5, 2])},
            r"`support_x` must be .*\(3,\).*Received: shape \(4, 5, 2\)",
        ),
        (
            {"query_x": np.zeros([4, 6, 3, 1])},
            r"`query_x` must be .*Received: shape \(4, 6, 3, 1\)",
        ),
        ({"support_x": np.zeros([3, 5, 3])}, "the same number of tasks"),
        ({"support_y": np.zeros([4, 4])}, "the same number of support examples"),
        ({"query_x": np.zeros([4, 7, 3])}, "the same number of query examples"),
        ({"support_y": np.zeros([4])}, r"`support_y` must begin with a task axis.*shape \(4,\)"),
    ],
)
def test_a_wrong_part_of_a_batch_is_named(change, message):
    x, y = make_batch()
    x = {name: value for name, value in {**x, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        # Not through fit, where Keras itself compares the lengths of arrays.
        make_learner(run_eagerly=True).train_step(tf.nest.map_structure(tf.constant, (x, y)))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.full([2, 3], np.nan), [0, 1], "`support_x` must be finite"),
        (
            np.zeros([2, 3]),
            [0, 2],
            "`support_y` must hold class numbers below 2.*largest label of 2",
        ),
        (np.zeros([2, 3]), [0, -1], "class numbers 0, 1, 2"),
        (np.zeros([2, 3]), [0.5, 1.0], "class numbers 0, 1, 2"),
        (np.zeros([2, 3]), [0, 1, 1], "same number of examples.*Received: 2"),
        (np.zeros([0, 3]), [], "at least one"),
        (np.zeros([1, 2, 3]), [[0, 1]], "without a task axis"),
        ([[0.0, 1.0, 2.0], [3.0]], [0, 1], "`support_x` must be numbers of one shape"),
    ],
)
def test_a_wrong_support_set_is_named(x, y, message):
    with pytest.raises(ValueError, match=message):
        make_learner().adapt(x, y)


def test_wrong_steps_are_named():
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 0"):
        make_learner().adapt(np.zeros([2, 3]), [0, 1], steps=-1)


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, p: tf.reduce_mean(tf.round(p)),
        lambda y, p: tf.cast(tf.argmax(p, -1), tf.float32),
    ],
)
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=str)
def test_a_loss_without_gradient_is_named_in_fit_too(loss, options):
    with pytest.raises(ValueError, match=r"no gradient.*body/kernel.*head/bias"):
        make_learner(loss=loss, **options).fit(as_dataset(*make_batch()), verbose=0)


@pytest.mark.parametrize(
    ("call", "labels", "message"),
    [
        ("fit", [0, 1, 3], "`query_y` must hold .* below 3"),
        ("evaluate", [0, -1, 2], "`query_y` must hold .* -1, 2"),
    ],
)
def test_labels_out_of_range_are_named_in_training_too(call, labels, message):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(3)])
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), loss)
    learner.compile("sgd", jit_compile=False)
    x = {"support_x": np.zeros([1, 3, 2]), "query_x": np.zeros([1, 3, 2])}
    x["support_y"] = np.array([[0, 1, 2]])
    getattr(learner, call)(x, x["support_y"], verbose=0)
    with pytest.raises(ValueError, match=message) as raised:
        getattr(learner, call)(x, np.array([labels]), verbose=0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [(meta_tf.MAML(), "this machine has"), (meta_tf.ProtoNet(5), "which has no inner loop")],
)
def test_steps_whose_predictions_cannot_be_kept_are_refused_before_they_take_memory(
    algorithm, words
):
    learner = meta_tf.MetaLearner(meta_tf.models.mlp([2], 5, [2]), algorithm, CE)
    x = {"support_x": tf.zeros([1, 5, 2]), "support_y": tf.range(5)[tf.newaxis]}
    with pytest.raises(ValueError, match=rf"`steps` must be at most .*{words}.* steps=1000000000"):
        learner.trajectory({**x, "query_x": tf.zeros([1, 5, 2])}, steps=10**9)
