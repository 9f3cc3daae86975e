import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import meta_tf
from meta_tf import zoo

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "runs"


def drawings(seed=0, count=5):
    """Made-up characters [count, 28, 28, 1] of three strokes each, 1 on 0."""
    rng = np.random.default_rng(seed)
    images = np.zeros([count, 28, 28, 1], "float32")
    for image in images:
        for _ in range(3):
            start, end = rng.uniform(3, 25, [2, 2])
            for t in np.linspace(0, 1, 60):
                row, column = np.round(start + t * (end - start)).astype(int)
                image[row : row + 2, column : column + 2] = 1
    return images


@pytest.fixture(scope="module", params=zoo.characters())
def shipped(request):
    return request.param, meta_tf.pretrained(request.param)


def test_the_weights_are_those_of_the_file(shipped):
    name, learner = shipped
    path = zoo.FOLDER / f"{name}.keras"
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        found = []
        h5py.File(file).visititems(
            lambda _, item: found.append(item[()]) if hasattr(item, "dtype") else None
        )
    # Keras's seeds aside, which are integers
    stored = sorted((a for a in found if a.dtype == "float32"), key=lambda a: a.tobytes())
    loaded = sorted(learner.get_weights(), key=lambda a: a.tobytes())
    assert len(stored) == len(loaded) > 10
    for a, b in zip(stored, loaded, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_the_learner_of_the_published_run(shipped):
    name, learner = shipped
    beside = (zoo.FOLDER / f"{name}.json").read_text()
    run = json.loads(beside)
    folder = Path(run["flags"]["workdir"]).name
    published = (RESULTS / folder / "results.json").read_text()
    assert beside == published, f"run: python -m tools.ship {folder} --as {name}"
    assert json.loads(json.dumps(learner.algorithm.get_config())) == run["settings"]
    assert learner.network.batch_norm == run["batch_norm"]
    assert learner.count_params() == run["parameters"]
    if run["flags"]["task"] == "omniglot":
        assert run["flags"]["split"] == "finn" and run["flags"]["rotations"] == "task"  # as is told


def test_it_is_small_and_has_no_optimizer(shipped):
    name, learner = shipped
    assert (zoo.FOLDER / f"{name}.keras").stat().st_size < 600_000
    assert getattr(learner, "optimizer", None) is None


@pytest.mark.slow
def test_it_learns_made_up_characters(shipped):
    _, learner = shipped
    ways = min(
        20, learner.algorithm.prediction_size(learner.network) or learner.model.output_shape[-1]
    )
    support = drawings(count=ways)
    fitted = learner.adapt(support, np.arange(ways))
    moved = np.roll(support, (1, -1), (1, 2))  # the same characters, elsewhere
    after = np.argmax(fitted(moved), -1) == np.arange(ways)
    assert after.mean() >= 0.8
    before = learner.algorithm.initial(learner.network, learner.weights_now)
    if before is not None:  # a learner of prototypes predicts nothing before
        guessed = learner.algorithm.predict(learner.network, before, moved)
        assert (np.argmax(guessed, -1) == np.arange(ways)).mean() <= 0.6


def test_a_wrong_name_is_answered_by_the_list():
    with pytest.raises(
        ValueError,
        match=r"`name` must be one of 'chinese_characters', .*Received: 'mnist'",
    ):
        meta_tf.pretrained("mnist")
