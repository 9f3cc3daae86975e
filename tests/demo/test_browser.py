"""The page in Chromium: it learns made-up symbols, as Python does, by mouse, finger and keys."""

import importlib.util

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf import zoo
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.shown import Shown
from meta_tf.demo.write import write_page
from meta_tf.export.compare import TOLERANCE
from tools.page import browser

pytestmark = [
    pytest.mark.skipif(bool(browser.missing()), reason=f"needs {browser.missing()}"),
    pytest.mark.skipif(
        not all(importlib.util.find_spec(p) for p in ("onnxruntime", "tf2onnx")),
        reason="needs the extra [onnx]",
    ),
]
SYMBOLS = [
    [[(0.2, 0.2), (0.8, 0.8)], [(0.2, 0.8), (0.8, 0.2)]],
    [[(0.5, 0.1), (0.5, 0.9)]],
    [[(0.1, 0.5), (0.9, 0.5)]],
    [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2)]],
]


def shaken(symbol, rng):
    """The symbol by an unsteady hand."""
    return [
        [tuple(np.clip(point + rng.normal(scale=0.02, size=2), 0, 1)) for point in stroke]
        for stroke in symbol
    ]


def tasks(count, ways):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield {
            "support": [shaken(symbol, rng) for symbol in SYMBOLS[:ways]],
            "queries": [
                {"label": label, "strokes": shaken(symbol, rng)}
                for label, symbol in enumerate(SYMBOLS[:ways])
            ],
        }


def protonet():
    # Untrained: random convolutions keep such symbols apart well enough.
    model = meta_tf.models.conv4(None, filters=8, head="flatten")
    return model, meta_tf.ProtoNet(5), "support"


def maml():
    model = meta_tf.models.conv4(5, filters=8, head="flatten")
    return model, meta_tf.MAML(0.1, inner_steps=2), "transductive"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(protonet, marks=pytest.mark.slow),
        pytest.param(maml, marks=pytest.mark.exhaustive),
    ],
)
def shown(request, tmp_path_factory):
    """A learner, and the address of its page."""
    keras.utils.set_random_seed(0)
    model, algorithm, batch_norm = request.param()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model, algorithm, loss, batch_norm=batch_norm)
    folder = tmp_path_factory.mktemp("demo") / "page"
    try:
        package = runtime_package()
        browser.fetched_driver()
    except (RuntimeError, OSError) as error:
        pytest.skip(f"needs packages of npm: {error}")
    # Twice: the reader may choose, and the second is drawn for with a wider pen.
    other = zoo.trained_on("chinese_characters")._replace(pen=9.0)
    write_page([Shown(learner, "mine"), Shown(learner, "other", other)], folder, package)
    assert sum(file.stat().st_size for file in folder.rglob("*.*")) < 15e6
    with browser.shown(folder) as url:
        yield learner, url


@pytest.mark.parametrize("ways", [2, 4])
def test_it_learns_and_computes_what_python_does(shown, ways):
    learner, url = shown
    found = browser.in_browser({"url": url, "tasks": list(tasks(3, ways))})
    told = browser.summary(learner, found)
    assert (told["tasks"], told["drawings"]) == (3, 3 * ways)
    # As `export` asks of most tasks: in some an activation is 0 but for its last bits, where
    # the derivative of a ReLU jumps.
    assert told["difference_from_python"]["median"] < TOLERANCE
    assert told["same_answer_in_python"] == told["drawings"]
    assert told["right"] > 1 / ways  # more than by chance
    assert told["problems"] == told["asked_elsewhere"] == []


def test_mouse_finger_and_keys_draw_and_teach_in_both_languages(shown):
    _, url = shown
    found = browser.in_browser({"url": url, "walk": True})
    # One stroke each, by mouse, by finger, and by keys: down, three steps to the right, up.
    assert found["strokes"] == {"mouse": 1, "finger": 1, "keys": 1}
    assert found["by_keys"][-1][0] - found["by_keys"][0][0] == pytest.approx(3 / 40)
    assert found["drawings_after_teaching"] == 1 + found["drawings_before_teaching"]
    assert found["unlabelled"] == []
    # Another learner learns the same drawings anew, with its own pen.
    chosen, (before, after) = found["chosen"], found["pictures"]
    assert chosen == ["mine", "other"]
    assert np.abs(np.subtract(before, after)).max() > 0.1
    assert found["said"]["en"].startswith("Learned.") and "学会了" in found["said"]["zh"]
    assert found["problems"] == found["elsewhere"] == []
