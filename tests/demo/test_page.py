"""The page's own files: nothing from elsewhere, every word in every language, drawings right."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.demo.write import PAGE
from tools.page.pixels import pixels_of

INDEX = (PAGE / "index.html").read_text(encoding="utf-8")
GRID, SIZE = 105, 28
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def in_node(program):
    """What a program of JavaScript prints, as JSON; its imports are the page's modules."""
    done = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "-e", program],
        cwd=PAGE,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_content_security_policy_allows_the_page_itself_and_webassembly_alone():
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', INDEX)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("script-src") == "'self' 'wasm-unsafe-eval'"
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) <= {"'self'", "'none'"}


def test_nothing_comes_from_elsewhere_and_nothing_is_written_into_the_page():
    for path in PAGE.rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w+/", text), path
        # The policy would refuse both.
        assert not re.search(r"<script(?! type=\"module\" src=)|\sstyle=|\son\w+=", text), path


@needs_node
def test_both_languages_have_all_words_and_the_page_asks_for_no_others():
    found = in_node(
        'import { en } from "./words/en.js"; import { zh } from "./words/zh.js";'
        "const kinds = (words) => Object.fromEntries(Object.entries(words).map("
        "([key, word]) => [key, Array.isArray(word) ? word.length : typeof word === 'object' ?"
        " Object.keys(word) : typeof word + (word.length * (typeof word === 'function'))]));"
        "console.log(JSON.stringify([kinds(en), kinds(zh), en]))"
    )
    english, chinese, words = found
    assert english == chinese
    used = set(re.findall(r'data-words="(\w+)"', INDEX))
    for path in PAGE.glob("*.js"):
        used |= set(re.findall(r"\bwords\.(\w+)", path.read_text(encoding="utf-8")))
    used -= {"js"}
    assert used == set(english)
    # What stands in the page before its program runs is the same.
    for name, text in re.findall(r'data-words="(\w+)"[^>]*>([^<]*)<', INDEX):
        assert text == words[name]


@needs_node
def test_a_picture_is_made_smaller_as_tensorflow_does_it():
    rng = np.random.default_rng(0)
    picture = (rng.random([GRID, GRID]) > 0.5).astype("float32")
    program = (
        'import { shrink } from "./lanczos.js";'
        f"const picture = {picture.ravel().tolist()};"
        f"console.log(JSON.stringify([...shrink(picture, {GRID}, {SIZE})]))"
    )
    found = np.reshape(in_node(program), [SIZE, SIZE])
    expected = tf.image.resize(picture[..., None], [SIZE, SIZE], "lanczos3", antialias=True)
    # Sums of some 500 products of numbers up to 1, in float32.
    np.testing.assert_allclose(found, expected[..., 0], rtol=0, atol=500 * 2**-24)


@needs_node
def test_a_drawing_is_brought_to_the_middle_and_to_a_usual_size():
    square = [(0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.0, 0.1), (0.0, 0.0)]
    for small, corner in ((square, 0.0), (square, 0.9)):
        (picture,) = pixels_of([[[(x + corner, y + corner) for x, y in small]]], SIZE)
        rows = np.flatnonzero(picture[..., 0].max(1) > 0.3)
        columns = np.flatnonzero(picture[..., 0].max(0) > 0.3)
        for found in (rows, columns):
            assert found[0] + found[-1] == SIZE - 1  # as far from one edge as from the other
            assert 0.3 * SIZE < len(found) < 0.8 * SIZE  # a tenth, as it was drawn


@needs_node
def test_a_large_drawing_and_a_dot_stay_inside():
    corners = [(0.0, 0.0), (1.0, 1.0)]
    pictures = pixels_of([[corners], [[(0.5, 0.5)]]], SIZE)
    assert (pictures[:, [0, -1]] < 0.3).all() and (pictures[:, :, [0, -1]] < 0.3).all()
    dot = pictures[1, ..., 0]
    assert dot.max() > 0.3
    assert (dot > 0.3).sum() <= 4
    assert pictures.min() >= 0 and pictures.max() <= 1
