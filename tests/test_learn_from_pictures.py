"""Folders, paths, PIL pictures and arrays become what a model takes, in `adapt` and after it."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

import meta_tf
from meta_tf.calibration import Calibration
from meta_tf.learner import embedded
from meta_tf.tasks.images.picture_input import PictureInput, picture_files

CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_learner(scaled=False, batch_norm="running"):
    """A learner of pictures 6 x 4 in colour, from 0 to 255 if it scales them itself."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255)] if scaled else []
    layers += [keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((6, 4, 3)), *layers])
    return meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=3), CE, batch_norm)


def arrays(seed, count):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, [6, 4, 3], dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Classes `new` and `old` of two pictures each, and a folder of three others."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, array in enumerate([*arrays(0, 4), *arrays(1, 3)]):
        path = folder / ("classes/new", "classes/old", "query", "query")[i // 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return folder


@pytest.mark.parametrize("scaled", [False, True])
def test_every_form_of_the_same_pictures_is_learned_and_predicted_alike(folder, scaled):
    learner = make_learner(scaled)
    factor = 1 if scaled else np.float32(255)  # uint8 means pixels from 0 to 255
    old_and_new = np.stack(arrays(0, 4)) / np.float32(factor)
    query = np.stack(arrays(1, 3)) / np.float32(factor)
    expected = learner.adapt(old_and_new, [0, 0, 1, 1]).predict(query)
    paths = sorted((folder / "classes").glob("*/*.png"))
    learned = [
        learner.adapt(folder / "classes"),
        learner.adapt(str(folder / "classes")),
        learner.adapt({"new": folder / "classes" / "new", "old": arrays(0, 4)[2:]}),
        learner.adapt(paths, ["new", "new", "old", "old"]),
        learner.adapt([Image.open(path) for path in paths], [0, 0, 1, 1], None, ["new", "old"]),
        learner.adapt(arrays(0, 4), [0, 0, 1, 1], class_names=["new", "old"]),
    ]
    names = np.array(["new", "old"])[expected.argmax(-1)].tolist()
    for fitted in learned:
        np.testing.assert_allclose(fitted.predict(query), expected, rtol=1e-5)
        assert fitted.predict_names(folder / "query").tolist() == names
    given = [folder / "query", sorted((folder / "query").iterdir()), arrays(1, 3)]
    given += [[Image.fromarray(array) for array in arrays(1, 3)]]
    for pictures in given:
        np.testing.assert_allclose(learned[0].predict(pictures), expected, rtol=1e-5)
        np.testing.assert_allclose(learned[0].predict_one_by_one(pictures), expected, rtol=1e-5)
    one = learned[0].predict_names(str(folder / "query" / "4.png"))
    assert one.tolist() == names[:1]


def test_leaving_one_out_takes_what_adapt_takes(folder):
    learner, labels = make_learner(), [0, 0, 1, 1]
    expected = meta_tf.leave_one_out(learner, np.stack(arrays(0, 4)) / np.float32(255), labels)
    paths, names = sorted((folder / "classes").glob("*/*.png")), ["new", "new", "old", "old"]
    opened = [Image.open(path) for path in paths]
    for given in [(folder / "classes",), (paths, names), (opened, names), (arrays(0, 4), labels)]:
        np.testing.assert_allclose(meta_tf.leave_one_out(learner, *given), expected, rtol=1e-5)


def deep(seed, most):
    """A 16-bit grey picture of levels up to `most`, and what it is with 4095 as white."""
    levels = np.random.default_rng(seed).integers(0, most + 1, [6, 4], dtype=np.uint16)
    levels[0, 0] = most
    white = np.rint(levels * (255 / 4095)).astype(np.uint8)
    return Image.fromarray(levels), np.repeat(white[..., np.newaxis], 3, -1)


def test_16_bit_pictures_have_the_white_of_the_support_set_in_whatever_company(tmp_path):
    learner = make_learner()
    support, white = zip(*(deep(i, 3000) for i in range(4)), strict=True)
    fitted = learner.adapt(list(support), ["a", "a", "b", "b"])
    expected = learner.adapt(np.stack(white) / np.float32(255), [0, 0, 1, 1])
    fitted.save(tmp_path / "fitted.keras")
    for one in (fitted, keras.models.load_model(tmp_path / "fitted.keras")):
        for picture, array in (deep(7, 200), deep(8, 3999)):  # alone, 1023 would be the first white
            np.testing.assert_allclose(
                one.predict_proba(picture),
                expected.predict_proba(array[np.newaxis] / np.float32(255)),
                rtol=1e-4,
            )
    assert learner.pictures.white_of_16_bits is None
    # A command reads new pictures together with the support set, and scales by the latter.
    both = [*support, deep(9, 9999)[0]]
    conversion = learner.pictures.conversion(scaled_by=4)
    files = picture_files(both, "both")
    found = np.stack(list(learner.pictures.each(files, conversion)))
    np.testing.assert_allclose(found[:4], np.stack(white) / np.float32(255), atol=1e-6)
    assert learner.pictures.after(conversion).white_of_16_bits == 4095


def test_a_large_support_set_passes_the_network_in_parts(monkeypatch):
    learner = make_learner()
    learner.calibration = Calibration({(3, 5): 2.0}, {(3, 5): 0.0}, spread=1.0)
    x, y = np.stack(arrays(0, 35)) / np.float32(255), np.arange(35) % 3
    query = np.stack(arrays(1, 3)) / np.float32(255)
    whole = learner.adapt(x, y)
    monkeypatch.setattr(embedded, "_LARGE", 10_000)  # bytes; these are 10 080
    monkeypatch.setattr(learner, "_adapt", None)
    parts = learner.adapt(x, y)
    found, expected = (m.predict_with_strangeness(query) for m in (parts, whole))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4)


def test_a_picture_is_stretched_or_cropped_and_inverted_where_it_is_light():
    # Columns of 0, 200, 200, 0 in a picture twice as wide as high: its middle square is 200.
    page = np.zeros([16, 32, 1], np.uint8)
    page[:, 8:24] = 200
    reads = PictureInput((2, 2), 1, white=255)
    # Each half of the stretched one has as much of 0 as of 200.
    np.testing.assert_allclose(reads.read(page), 100, atol=40)
    cropped = dataclasses.replace(reads, crop=True)
    middle = cropped.read(page)  # the filter also sees a little of what is around
    np.testing.assert_allclose(middle, 200, atol=15)
    light = dataclasses.replace(cropped, invert="light", white=1)
    one, other = light.read([page, 255 - page])
    np.testing.assert_allclose(one, 1 - middle[0] / 255, rtol=1e-5)
    np.testing.assert_allclose(other, 1 - middle[0] / 255, atol=0.01)
    with_all = dataclasses.replace(cropped, invert="yes")
    np.testing.assert_array_equal(with_all.read(page), 255 - middle)


def test_a_grey_array_may_have_two_axes():
    read = PictureInput((5, 6), 1)
    page = np.random.default_rng(0).integers(0, 256, [7, 6], dtype=np.uint8)
    expected = read.read(page[..., np.newaxis])
    assert read.takes(page) and read.takes([page])
    for same in (page, [page]):
        np.testing.assert_array_equal(read.read(same), expected)


def test_saved_models_read_pictures_as_before(folder, tmp_path):
    learner = make_learner()
    learner.pictures = dataclasses.replace(learner.pictures, crop=True, invert="yes")
    fitted = learner.adapt(folder / "classes")
    # Wider than the model's pictures, so that a model that forgets to crop answers differently.
    wide = Image.fromarray(np.concatenate([*arrays(2, 1), *arrays(3, 1)], 1))
    expected = fitted.predict([wide])
    for model in (learner, fitted):
        model.save(tmp_path / "saved.keras")
        again = keras.models.load_model(tmp_path / "saved.keras")
        again = again.adapt(folder / "classes") if model is learner else again
        np.testing.assert_array_equal(again.predict([wide]), expected)
    assert np.abs(make_learner().adapt(folder / "classes").predict([wide]) - expected).max() > 0.01


def test_with_batch_statistics_a_picture_is_predicted_beside_those_that_were_learned(
    folder, tmp_path
):
    learner = make_learner(batch_norm="transductive")
    fitted = learner.adapt(folder / "classes")
    support = np.stack(arrays(0, 4)) / np.float32(255)
    query = np.stack(arrays(1, 3)) / np.float32(255)
    plain = learner.adapt(support, [0, 0, 1, 1])
    expected = plain.predict_one_by_one(query, batch_with=support)
    assert np.abs(plain.predict_one_by_one(query) - expected).max() > 0.01
    fitted.save(tmp_path / "saved.keras")
    for model in (fitted, keras.models.load_model(tmp_path / "saved.keras")):
        found = model.predict_one_by_one(folder / "query")
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ("nowhere", None, ["`support_x` must be a folder", "nowhere"]),
        (["nowhere.png"], [0], ["`support_x` must be an existing file or folder", "nowhere.png"]),
        ([Image.new("RGB", (4, 4)), 3], [0, 1], ["`support_x` must be a folder, the path", "int"]),
        ({"a": np.zeros([4, 4, 3])}, None, ["at least two classes", "1"]),
        ({"a": np.zeros([4, 4, 3]), "b": 1}, None, ["uint8", "float64 (4, 4, 3)"]),
        (np.zeros([2, 6, 4, 3]), None, ["`support_y`", "ndarray"]),
        (Image.new("F", (4, 4), 1e9), [0], ["`support_x`, a picture in memory", "16 bits"]),
    ],
    ids=["nowhere", "no_file", "a_number", "one_class", "floats", "no_labels", "over_16_bits"],
)
def test_other_things_are_refused_in_one_line(x, y, words):
    with pytest.raises(ValueError) as caught:
        make_learner().adapt(x, y)
    for word in words:
        assert word in str(caught.value)


def test_a_folder_that_names_its_classes_takes_no_other_names():
    with pytest.raises(ValueError, match="`class_names` must be None"):
        make_learner().adapt({"a": arrays(0, 1), "b": arrays(0, 1)}, class_names=["c", "d"])


def test_a_model_of_numbers_takes_no_pictures(tmp_path):
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), loss="mse")
    assert learner.pictures is None
    with pytest.raises(ValueError, match="`support_y` must hold the targets"):
        learner.adapt(pathlib.Path(tmp_path))
