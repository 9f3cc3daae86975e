"""Examples with their classes, and episodes of features computed once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from tests.learners import CE


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, [120, 6, 6, 1], np.uint8), np.arange(120) % 24


def source(pictures, rotations):
    return meta_tf.tasks.from_arrays(*pictures, 3, 1, 2, rotations=rotations)


@pytest.mark.parametrize(("rotations", "turns"), [(None, [0]), ("classes", [0, 1, 2, 3])])
def test_labelled_examples_are_those_of_the_part_with_the_numbers_of_their_classes(
    pictures, rotations, turns
):
    images, labels = pictures
    part = source(pictures, rotations).train
    expected = [
        (np.rot90(image, turn), f"{label}/turned{90 * turn}" if rotations else str(label))
        for turn in turns
        for image, label in zip(images, labels, strict=True)
    ]
    seen = 0
    for x, label in part.labelled().as_numpy_iterator():
        name = part.classes[label]
        assert any(
            name == other and np.allclose(x, image / 255, atol=1e-6) for image, other in expected
        )
        seen += 1
    names = {name.split("/")[0] for name in part.classes}
    assert seen == len(turns) * sum(str(label) in names for label in labels)


@pytest.mark.parametrize("rotations", [None, "task"])
def test_episodes_of_features_are_the_features_of_the_episodes(pictures, rotations):
    model = keras.Sequential([keras.Input([6, 6, 1]), keras.layers.Flatten()])
    model.add(keras.layers.Dense(4, "tanh"))
    model.add(keras.layers.BatchNormalization())
    model.layers[-1].moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    part = source(pictures, rotations).test
    features = part.embedded(model, batch_size=7)
    assert features.classes == part.classes
    for batches in zip(
        part.batches(5, seed=3).take(3), features.batches(5, seed=3).take(3), strict=True
    ):
        (x, y), (fx, fy) = batches
        np.testing.assert_array_equal(y, fy)
        for name in ("support_x", "query_x"):
            expected = model(tf.reshape(x[name], [-1, 6, 6, 1]))
            np.testing.assert_allclose(
                tf.reshape(fx[name], expected.shape), expected, rtol=0, atol=1e-6
            )


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "8", None])
def test_a_wrong_batch_size_is_named(batch_size):
    tasks = meta_tf.tasks.from_arrays(np.zeros([60, 4]), np.arange(60) % 15, ways=2)
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1"):
        tasks.test.embedded(keras.Sequential([keras.Input([4])]), batch_size=batch_size)


def test_a_frozen_network_is_evaluated_alike_with_its_features(pictures):
    part = source(pictures, None).test
    model = meta_tf.models.conv4(ways=None, filters=4, input_shape=(6, 6, 1))
    model.trainable = False
    algorithm = meta_tf.LogisticRegression(ways=3)
    learner = meta_tf.MetaLearner(model, algorithm, CE, batch_norm="running")
    whole = meta_tf.evaluate(learner, part, tasks_number=20, steps=0)
    nothing = keras.Sequential([keras.Input([model.output_shape[1]]), keras.layers.Identity()])
    head = meta_tf.MetaLearner(nothing, algorithm, CE)
    alone = meta_tf.evaluate(head, part.embedded(model), tasks_number=20, steps=0)
    np.testing.assert_allclose(alone.mean, whole.mean, rtol=0, atol=1e-6)
    learner.compile(jit_compile=False)
    with pytest.raises(ValueError, match=r"`model` must have trainable weights for `fit`.*conv4"):
        learner.fit(part.batches(2), steps_per_epoch=1)
