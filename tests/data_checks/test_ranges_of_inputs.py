"""Pixels mean the same wherever they are given, and are scaled once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.data_checks.batch import check_batch
from meta_tf.pixels import largest_pixel, takes_numbers_of_things
from meta_tf.tasks import ImageFolder, from_arrays

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, [40, 6, 6, 1], np.uint8)
LABELS = np.arange(40) % 20
SIZES = {"ways": 3, "shots": 1, "queries": 1}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LAYERS = keras.layers


def learner_of(*layers, shape=(6, 6, 1), **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *layers, LAYERS.Flatten(), LAYERS.Dense(3)])
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=3), LOSS)
    learner.compile(**{"optimizer": "sgd", "jit_compile": False, **options})
    return learner


def rescaling(**options):
    return learner_of(LAYERS.Rescaling(1 / 255), **options)


def batches(scale, pixels=PIXELS):
    return from_arrays(pixels, LABELS, **SIZES, scale=scale).train.batches(2)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(1, marks=pytest.mark.slow, id="a step a call"),
        pytest.param(2, id="a program of steps"),
    ],
)
def test_a_model_that_scales_learns_from_pixels_as_one_that_does_not_from_scaled_ones(steps):
    results = []
    for learner, scale in ((rescaling, False), (learner_of, True)):
        learner = learner(steps_per_execution=steps)
        learner.fit(batches(scale), steps_per_epoch=2, verbose=0)
        support = PIXELS[:3] if not scale else PIXELS[:3] / 255
        adapted = learner.adapt(support.astype("uint8" if not scale else "float32"), [0, 1, 2])
        results.append([*learner.get_weights(), adapted.predict(support, verbose=0)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


SCALED_TWICE = (
    r"`(support_x|query_x|x|inputs)` must hold pixels from 0 to 255, as the model scales .*scale=Fa"
)


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 2}, {"run_eagerly": True}])
def test_pixels_that_a_source_has_scaled_are_refused_by_a_model_that_scales_them(options):
    learner = rescaling(**options)
    before = learner.get_weights()
    with pytest.raises(ValueError, match=SCALED_TWICE):
        learner.fit(batches(True), steps_per_epoch=2, verbose=0)
    for ours, theirs in zip(learner.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_everything_that_is_given_examples_refuses_them():
    learner = rescaling()
    x, y = next(iter(batches(True)))
    tasks = from_arrays(PIXELS, LABELS, **SIZES)
    fitted = learner.adapt(PIXELS[:3], [0, 1, 2])
    for given in (
        lambda: fitted.predict(PIXELS / 255, verbose=0),
        lambda: fitted.predict_one_by_one(PIXELS / 255),
        lambda: fitted.predict_on_batch(PIXELS / 255),
        lambda: fitted(PIXELS / 255),
        lambda: learner.evaluate(x, y, verbose=0),
        lambda: learner.predict(x, verbose=0),
        lambda: learner(x),
        lambda: learner.trajectory(x),
        lambda: learner.adapt(x["support_x"][0], [0, 1, 2]),
        lambda: meta_tf.evaluate(learner, tasks.test, tasks_number=2),
    ):
        with pytest.raises(ValueError, match=SCALED_TWICE):
            given()
    with pytest.raises(ValueError, match=r"`model` must not scale pixels that this source.*=False"):
        tasks.test.embedded(learner.model)
    from_arrays(PIXELS, LABELS, **SIZES, scale=False).test.embedded(learner.model)


def test_uint8_without_scaling_is_refused_by_a_model_that_does_not_scale():
    with pytest.raises(ValueError, match=r"`support_x` must be floats.*Rescaling into the model"):
        learner_of().fit(batches(False), steps_per_epoch=1, verbose=0)


LEGITIMATE = {
    "whole": PIXELS.astype("float32"),
    "resized": PIXELS * np.float32(0.9),
    "augmented": PIXELS + RNG.normal(size=PIXELS.shape).astype("float32"),
    "black": np.zeros_like(PIXELS, "float32"),
    "black and white": (PIXELS > 128).astype("float32"),
    "from -1": PIXELS / np.float32(127.5) - 1,
}


@pytest.mark.parametrize("kind", LEGITIMATE)
def test_what_may_be_pixels_is_taken(kind):
    assert_taken(rescaling(), LEGITIMATE[kind])


def assert_taken(learner, examples):
    x = {"support_x": examples[None, :3], "support_y": LABELS[None, :3]}
    check_batch(learner.algorithm, learner.network, {**x, "query_x": examples[None, 3:5]})


def test_a_model_that_takes_pixels_up_to_1_refuses_larger_ones():
    learner = learner_of(LAYERS.Rescaling(2.0, -1.0))
    with pytest.raises(ValueError, match=r"`support_x` must be floats"):
        learner.adapt(PIXELS[:3], [0, 1, 2])
    with pytest.raises(ValueError, match=r"`support_x` must hold pixels from 0 to 1.*up to 255"):
        learner.adapt(PIXELS[:3].astype("float32"), [0, 1, 2])
    for kind in LEGITIMATE.keys() - {"whole"}:
        learner.adapt(LEGITIMATE[kind][:3], [0, 1, 2])


def test_nothing_is_asked_of_a_model_that_shows_no_range():
    for layer in (LAYERS.Rescaling(2.0, -1.0), LAYERS.Normalization(mean=0.5, variance=0.1)):
        assert_taken(learner_of(layer), PIXELS / np.float32(255))


def test_numbers_of_words_are_not_scaled():
    words = RNG.integers(0, 200, [40, 5], np.uint8)
    learner = learner_of(LAYERS.Embedding(200, 2), shape=(5,))
    with pytest.raises(ValueError, match=r"`support_x` must hold whole numbers.*scale=False"):
        learner.fit(batches(True, words), steps_per_epoch=1, verbose=0)
    learner.fit(batches(False, words), steps_per_epoch=1, verbose=0)
    for dtype in ("int64", "float32"):
        assert_taken(learner, words.astype(dtype))


def test_layers_that_show_what_a_model_takes():
    image, inputs = keras.Input([6, 6, 3]), keras.Input([5])
    means = {"mean": [123.7, 116.3, 103.5], "variance": [3409.0, 3262.0, 3291.0]}
    imagenet = LAYERS.Normalization(**means)
    flipped = keras.Sequential([image, LAYERS.RandomFlip(), LAYERS.Rescaling(1 / 127.5, -1)])
    standard = LAYERS.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05, 0.05, 0.05])
    other = LAYERS.Normalization(mean=[20.0, 0.0, 1.0], variance=[300.0, 1.0, 1.0])
    for layer, white in (
        (flipped, 255),
        (imagenet, 255),
        (standard, 1),
        (LAYERS.Rescaling(255 / 128, -127 / 128), 1),
        (keras.Sequential([image, LAYERS.Rescaling(255.0), flipped]), 1),
        (other, None),
        (LAYERS.Conv2D(2, 3), None),
    ):
        assert largest_pixel(keras.Sequential([image, layer])) == white
    looked_up = keras.Sequential([inputs, LAYERS.Embedding(9, 2)])
    assert takes_numbers_of_things(keras.Sequential([inputs, looked_up]))
    assert not takes_numbers_of_things(keras.Sequential([inputs, LAYERS.Dense(2)]))


def test_pictures_of_a_folder_stay_as_they_are_if_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    for c in range(9):
        (tmp_path / f"{c}").mkdir()
        for i in range(2):
            picture = tf.io.encode_png(np.full([6, 6, 1], 20 * c + i, np.uint8))
            (tmp_path / f"{c}" / f"{i}.png").write_bytes(picture.numpy())
    thirds = {"split": (0.34, 0.33, 0.33), "size": 6, "ways": 3}
    for cache in (False, True):
        raw, scaled = (
            next(iter(ImageFolder(tmp_path, **thirds, cache=cache, scale=s).test.batches(4)))[0]
            for s in (False, True)
        )
        assert raw["support_x"].dtype == tf.uint8
        np.testing.assert_array_equal(
            raw["support_x"].numpy() * np.float32(1 / 255), scaled["support_x"]
        )


@pytest.fixture(scope="module")
def trained():
    learner = learner_of()
    learner.fit(batches(True), steps_per_epoch=1, verbose=0)
    return learner


def test_pixels_are_refused_by_a_learner_of_scaled_ones_also_from_its_file(trained, tmp_path):
    trained.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    for learner in (trained, loaded):
        with pytest.raises(ValueError, match=r"no value exceeded .*Received: pixels up to 2"):
            learner.adapt(PIXELS[:3].astype("float32"), [0, 1, 2])
        fitted = learner.adapt(PIXELS[:3] / np.float32(255), [0, 1, 2])
        fitted.save(tmp_path / "fitted.keras")
        for one in (fitted, keras.models.load_model(tmp_path / "fitted.keras")):
            with pytest.raises(ValueError, match=r"`x` must.* no value exceeded .*pixels up to 2"):
                one.predict(PIXELS[3:6].astype("float32"), verbose=0)
            one.predict(LEGITIMATE["augmented"], verbose=0)
        for kind in ("resized", "augmented", "black", "black and white", "from -1"):
            learner.adapt(LEGITIMATE[kind][:3], [0, 1, 2])


def test_whole_numbers_in_training_tell_nothing_of_later_ones():
    learner = learner_of()
    learner.fit(batches(True, (PIXELS > 128).astype("float32")), steps_per_epoch=1, verbose=0)
    learner.adapt(PIXELS[:3].astype("float32"), [0, 1, 2])
    learner_of().adapt(PIXELS[:3].astype("float32"), [0, 1, 2])  # nor does no training
