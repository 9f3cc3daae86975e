"""The learner of photographs: its head by NumPy, and what of it is saved."""

import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf import zoo
from meta_tf.zoo.backbones import backbone
from meta_tf.zoo.photos import VIEWS, features_of, photos, photos_from_features

PICTURES = np.random.default_rng(0).integers(0, 256, [9, 8, 8, 3], np.uint8)
LABELS = [0, 1, 2, 0, 1]


def body():
    """Features of at least 0: 6 means over the picture."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input([8, 8, 3]),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(name="mean"),
        ]
    )


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(0)
    return photos(body())


def by_numpy(learner, support, query):
    """Logits of the ridge regression on roots of features, scaled to unit length."""
    features = learner.model.layers[2].predict(np.concatenate([support, query]) / 255, verbose=0)
    roots = np.sqrt(np.maximum(features.astype("float64"), 1e-6))
    x = roots / np.linalg.norm(roots, axis=1, keepdims=True)
    s, q = x[: len(support)], x[len(support) :]
    y = np.eye(3)[LABELS]
    return 10 * q @ np.linalg.solve(s.T @ s + 0.1 * np.eye(6), s.T @ y)


def test_logits_are_those_of_ridge_regression_on_roots_of_features(learner):
    fitted = learner.adapt(PICTURES[:5], LABELS)
    found = fitted.predict(PICTURES[5:], verbose=0)
    assert found.shape == (4, 3)
    expected = by_numpy(learner, PICTURES[:5], PICTURES[5:])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_it_takes_pixels_from_0_to_255_and_trains_nothing(learner):
    assert learner.network.largest_pixel == 255
    assert not learner.model.trainable_weights
    with pytest.raises(ValueError, match="pixels from 0 to 255"):
        learner.adapt(PICTURES[:5] / 255, LABELS)


def test_a_saved_learner_learns_the_same(learner, tmp_path):
    fitted = learner.adapt(PICTURES[:5], LABELS)
    expected = fitted.predict(PICTURES[5:], verbose=0)
    for model in (learner, fitted):
        model.save(tmp_path / "saved.keras")
        loaded = keras.models.load_model(tmp_path / "saved.keras")
        again = loaded.adapt(PICTURES[:5], LABELS) if model is learner else loaded
        np.testing.assert_array_equal(again.predict(PICTURES[5:], verbose=0), expected)


def test_the_learner_of_features_is_the_same_after_the_network(learner):
    features = learner.model.layers[2].predict(PICTURES / 255, verbose=0)
    after = photos_from_features(6).adapt(features[:5], LABELS)
    expected = learner.adapt(PICTURES[:5], LABELS).predict(PICTURES[5:], verbose=0)
    found = after.predict(features[5:], verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_it_is_calibrated_for_its_own_network_alone(learner):
    assert learner.calibration is None
    calibration = photos_from_features(6).calibration
    about = json.loads(zoo.calibration_file("photos").read_text())
    assert calibration == meta_tf.Calibration.from_config(about["calibration"])
    assert calibration.false_alarms == 0.05
    # Chosen for tasks of 2 to 40 classes; more classes need steeper logits.
    assert calibration.temperature(40, 5) < calibration.temperature(5, 5)


def test_the_card_names_the_head_and_the_licence():
    card = zoo.card("photos")
    assert card.startswith("### photos\n")
    for words in ("ways=60, regularization=0.1", "ImageNet", "Apache-2.0"):
        assert words in card


def test_the_card_has_the_numbers_of_every_measured_set():
    results = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "photographs"
    card = zoo.card("photos")
    for path in results.glob("*.json"):
        about = json.loads(path.read_text())
        (line,) = (line for line in card.splitlines() if f"the set `{about['set']}`" in line)
        for row in about["rows"]:
            if row["head"] == "photos":
                assert f"{row['accuracy']:.1f} ± {row['ci95']:.1f}" in line
                assert f"{row['ece']:.1f}" in line


@pytest.mark.slow
def test_the_shipped_one_learns_three_colours():
    # Three flat colours with noise: any network of photographs distinguishes them.
    learner = meta_tf.pretrained("photos")
    rng = np.random.default_rng(0)
    colours = np.eye(3)[np.arange(9) % 3][:, None, None] * 200 + 20
    pictures = (colours + rng.normal(0, 8, [9, 224, 224, 3])).clip(0, 255).astype(np.uint8)
    fitted = learner.adapt(pictures[:3], ["red", "green", "blue"])
    assert fitted.predict_names(pictures[3:]).tolist() == ["red", "green", "blue"] * 2
    mosaics = rng.integers(0, 256, [3, 14, 14, 3], np.uint8).repeat(16, 1).repeat(16, 2)
    _, known = fitted.predict_with_strangeness(pictures[3:])
    _, strange = fitted.predict_with_strangeness(mosaics)
    assert known.max() < strange.min()
    assert f"{learner.model.count_params():,} parameters" in zoo.card("photos")


def test_views_are_the_mean_of_their_features(learner):
    network, pictures = learner.model.layers[2], PICTURES.astype("float32")
    pixels = keras.Input([8, 8, 3])
    views = [pictures, pictures[:, :, ::-1]]
    for top in (0, 1):
        for left in (0, 1):  # a corner of 7 x 7 pixels, enlarged by TensorFlow
            corner = pictures[:, top : top + 7, left : left + 7]
            views.append(tf.image.resize(corner, (8, 8)).numpy())
    of_each = [network.predict(view / 255, verbose=0) for view in views]
    for number in VIEWS:
        found = keras.Model(pixels, features_of(network, pixels, number)).predict(
            pictures, verbose=0
        )
        np.testing.assert_allclose(found, np.mean(of_each[:number], axis=0), rtol=1e-4, atol=1e-6)


def test_a_learner_of_several_views_is_saved(learner, tmp_path):
    several = photos(learner.model.layers[2], views=6)
    expected = several.adapt(PICTURES[:5], LABELS).predict(PICTURES[5:], verbose=0)
    several.save(tmp_path / "several.keras")
    loaded = keras.models.load_model(tmp_path / "several.keras")
    found = loaded.adapt(PICTURES[:5], LABELS).predict(PICTURES[5:], verbose=0)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"`views` must be one of 1, 2, 6\. Received: 3"):
        photos(learner.model.layers[2], views=3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # by the papers: from -1 to 1; BGR less ImageNet's means; by means and deviations; as it is
        ("MobileNetV2", lambda x: x / 127.5 - 1),
        ("ResNet50", lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68])),
        (
            "DenseNet121",
            lambda x: (x / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]),
        ),
        ("EfficientNetB0", lambda x: x),
    ],
)
def test_a_backbone_sees_the_pixels_that_it_was_trained_on(name, expected, monkeypatch):
    build = getattr(keras.applications, name)

    @functools.wraps(build)
    def tiny(**options):
        assert options == {"include_top": False, "pooling": "avg", "input_shape": (224, 224, 3)}
        return keras.Sequential([keras.Input([224, 224, 3]), keras.layers.Identity()])

    monkeypatch.setattr(keras.applications, name, tiny)
    x = np.random.default_rng(0).uniform(size=[1, 224, 224, 3]).astype("float32")
    found = backbone(name).predict(x, verbose=0)
    np.testing.assert_allclose(found, expected(255 * x), rtol=1e-3, atol=1e-3)


def test_what_keras_cannot_fetch_is_named(monkeypatch):
    def build(**options):
        raise Exception("URL fetch failure on https://example.org: None")

    monkeypatch.setattr(keras.applications, "MobileNetV2", build)
    with pytest.raises(ValueError, match=r"`backbone` must be .* 'MobileNetV2'; URL fetch"):
        meta_tf.pretrained("photos", backbone="MobileNetV2")
    with pytest.raises(ValueError, match=r"`backbone` must be one of .* Received: 'MobileNet9'"):
        meta_tf.pretrained("photos", backbone="MobileNet9")
    with pytest.raises(ValueError, match="only for 'photos'"):
        meta_tf.pretrained("omniglot", views=6)
