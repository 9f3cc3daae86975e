"""The pages' own files: nothing from elsewhere, every word in every language, numbers right."""

import functools
import json
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.demo import drawings
from meta_tf.demo.shown import Shown
from meta_tf.demo.write import PAGE
from meta_tf.tasks.images.decode import decode_images
from meta_tf.tasks.images.picture import ImageFile
from tools.page.pixels import pixels_of

PAGES = ("drawings", "photographs")
GRID, SIZE = 105, 28
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def in_node(program, page=PAGE):
    """What a program of JavaScript prints, as JSON; its imports are the page's modules."""
    done = subprocess.run(
        ["node", "--no-warnings", "--input-type=module", "-e", program],
        cwd=page,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def index(page):
    return (PAGE / f"{page}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_content_security_policy_allows_the_page_itself_and_webassembly_alone(page):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', index(page))
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


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fetches_all_its_modules_at_once(page):
    fetched = set(re.findall(r'(?:modulepreload|module)" (?:href|src)="([^"]+)"', index(page)))
    shared = {path.name for path in PAGE.glob("*.js")} | {"runtime/ort.wasm.min.mjs"}
    shared.remove("offline.js")  # a service worker
    own = {str(path.relative_to(PAGE)) for path in (PAGE / page).rglob("*.js")}
    assert fetched == shared | own


@needs_node
@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_all_words_and_the_page_asks_for_no_others(page):
    found = in_node(
        f'import {{ en }} from "./{page}/words/en.js"; import {{ zh }} from "./{page}/words/zh.js";'
        "const kinds = (words) => Object.fromEntries(Object.entries(words).map("
        "([key, word]) => [key, Array.isArray(word) ? word.length : typeof word === 'object' ?"
        " kinds(word) : typeof word + (word.length * (typeof word === 'function'))]));"
        "console.log(JSON.stringify([kinds(en), kinds(zh), en]))"
    )
    english, chinese, words = found
    assert english == chinese
    html = index(page)
    used = set(re.findall(r'data-words="(\w+)"', html))
    scripts = [path.read_text(encoding="utf-8") for path in (PAGE / page).glob("*.js")]
    for text in [*scripts, (PAGE / "words.js").read_text(encoding="utf-8")]:
        used |= set(re.findall(r"\bwords\.(\w+)", text))
    assert used - {"js"} == set(english)
    # What stands in the page before its program runs is the same.
    for name, text in re.findall(r'data-words="(\w+)"[^>]*>([^<]*)<', html):
        assert text == words[name]
    # Every problem has its words.
    told = {name for text in scripts for name in re.findall(r'problem\("(\w+)"', text)}
    told |= {name for text in scripts for name in re.findall(r"problems\.(\w+)", text)}
    assert told <= set(english.get("problems", []))


@needs_node
@pytest.mark.parametrize(
    ("shape", "size", "crop"),
    [
        ((GRID, GRID, 1), SIZE, True),
        ((20, 20, 3), 33, True),
        ((40, 25, 3), 9, True),
        ((40, 25, 3), 9, False),
        ((7, 12, 3), 30, True),
        ((7, 12, 3), 10, False),
        ((9, 9, 3), 9, True),
    ],
)
def test_a_picture_is_resized_as_python_does_it(shape, size, crop, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    path = tmp_path / "picture.png"
    path.write_bytes(tf.io.encode_png(picture).numpy())
    program = (
        'import { resize } from "./lanczos.js";'
        f"const picture = Uint8ClampedArray.from({picture.ravel().tolist()});"
        f"const made = resize(picture, {shape[0]}, {shape[1]}, {size}, {shape[2]}, "
        f"{str(crop).lower()});"
        "console.log(JSON.stringify([...Uint8ClampedArray.from(made)]))"
    )
    found = np.reshape(in_node(program), [size, size, shape[2]])
    file = ImageFile.at(path)
    (expected,) = decode_images([file], (size, size), shape[2], crop=crop)
    # Both round to whole numbers, what is in the middle between two perhaps apart.
    apart = np.abs(found - expected.astype(int))
    assert apart.max() <= 1 and (apart == 1).mean() < 0.01


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


@needs_node
@pytest.mark.parametrize(
    "counts",
    [
        (1, 4, 2),  # between the numbers of the calibration: 7 / 3
        (1, 1, 1),  # nothing is known of the spread within these classes
        (9, 9, 9),  # beyond the numbers of the calibration
    ],
)
def test_the_head_computes_what_python_does(counts):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=[3, 9]).repeat(counts, axis=0)
    taught = (centres + 0.3 * rng.normal(size=centres.shape)).astype("float32")
    queries = np.concatenate([taught[:2] + 0.1, rng.normal(size=[3, 9])]).astype("float32")
    model = keras.Sequential([keras.Input([9]), keras.layers.Identity()])
    algorithm = meta_tf.R2D2(ways=4, regularization=0.3, scale=7.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model, algorithm, loss)
    learner.calibration = meta_tf.Calibration(
        {(2, 1): 3.0, (2, 5): 2.0, (7, 1): 1.2, (7, 5): 0.9},
        {(2, 1): 0.2, (3, 2): 0.6, (7, 5): 0.5},
        spread=2.0,
    )
    # The fourth class has no example.
    fitted = learner.adapt(taught, np.repeat([0, 1, 2], counts))
    logits = fitted.predict(queries, verbose=0)[:, :3]
    probabilities, strangeness = fitted.predict_with_strangeness(queries)
    settings = {
        "lambda": 0.3,
        "scale": 7,
        "bias": 0,
        "calibration": Shown(learner, "mine").calibration,
    }
    classes = [rows.tolist() for rows in np.split(taught, np.cumsum(counts)[:-1])]
    found = in_node(f"""
        import {{ Head }} from "./photographs/head.js";
        const head = new Head({json.dumps(classes)}, {json.dumps(settings)});
        const answers = {json.dumps(queries.tolist())}.map((query) => head.answer(query));
        console.log(JSON.stringify(answers));
    """)
    # float32 in TensorFlow, double precision in JavaScript.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    close([answer["logits"] for answer in found], logits)
    close([answer["probabilities"] for answer in found], probabilities[:, :3])
    close([answer["strangeness"] - fitted.threshold for answer in found], strangeness)
    none = [answer["none"] for answer in found]
    assert none == (strangeness > 0).tolist() and True in none and False in none


RUNTIME = """
// In place of onnxruntime: a ProtoNet whose embedding is the picture itself.
export const start = () => {};
export const pictures = (rows) => rows;
export const labels = (data) => ({ data });
const sum = (rows) => rows.reduce((a, b) => a.map((value, i) => value + b[i]));
const predict = ({ query_x, means }) => ({ predictions: {
  dims: [query_x.length, 4],
  data: query_x.flatMap((q) => means.map((c) =>
    c ? -2 * c.reduce((d, value, i) => d + (value - q[i]) ** 2, 0) : -1e9)),
} });
const adapt = ({ support_x, support_y }) => ({ means: [0, 1, 2, 3].map((n) => {
  const rows = support_x.filter((_, i) => support_y.data[i] === n);
  return rows.length ? sum(rows).map((value) => value / rows.length) : null;
}) });
export const load = async (path) => (path === "adapt" ? adapt : predict);
"""


@needs_node
@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 4, 2)])
def test_the_page_of_drawings_is_as_sure_as_python(counts, tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=[3, 9])
    taught = (centres.repeat(counts, 0) + 0.3 * rng.normal(size=[sum(counts), 9])).astype("float32")
    queries = np.concatenate([centres, rng.normal(size=[4, 9])]).astype("float32")
    model = keras.Sequential([keras.Input([3, 3, 1]), keras.layers.Flatten()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model, meta_tf.ProtoNet(ways=4, scale=2.0), loss)
    learner.calibration = meta_tf.Calibration(
        {(2, 1): 3.0, (7, 5): 0.9}, {(2, 1): 0.2, (3, 2): 1.0, (7, 5): 0.5}, spread=2.0
    )
    fitted = learner.adapt(taught.reshape(-1, 3, 3, 1), np.repeat([0, 1, 2], counts))
    probabilities, strangeness = fitted.predict_with_strangeness(queries.reshape(-1, 3, 3, 1))

    shutil.copytree(PAGE, tmp_path / "page")
    (tmp_path / "page" / "runtime.js").write_text(RUNTIME, encoding="utf-8")
    after = [{"steps": 0, "adapt": "adapt", "predict": "predict"}]
    entry = drawings.entry(Shown(learner, "mine"), after)
    classes = [rows.tolist() for rows in np.split(taught, np.cumsum(counts)[:-1])]
    found = in_node(
        f"""
        import {{ Learner }} from "./drawings/learner.js";
        const learner = await Learner.load({json.dumps(entry)});
        await learner.learn({json.dumps(classes)});
        const answers = [];
        for (const query of {json.dumps(queries.tolist())}) {{
          answers.push((await learner.ask(query)).at(-1));
        }}
        console.log(JSON.stringify(answers));
        """,
        tmp_path / "page",
    )
    np.testing.assert_allclose(
        [answer["probabilities"] for answer in found], probabilities[:, :3], rtol=1e-4, atol=1e-6
    )
    none = [answer["none"] for answer in found]
    assert none == (strangeness > 0).tolist() and True in none and False in none


@needs_node
def test_what_was_taught_is_saved_and_read_back_and_wrong_files_are_refused():
    found = in_node("""
        import { read, written } from "./photographs/saved.js";
        const about = { network: "abc", features: 3, learner: "photos" };
        const example = {
          id: "e",
          embedding: Float32Array.of(0.1, -2, 3e-9),
          thumbnail: Uint8Array.of(0, 200, 255),
        };
        const text = written([{ id: "t", name: "杯子", examples: [example] }], about);
        const [{ name, examples: [{ id, embedding, thumbnail }] }] = read(text, about);
        const reason = (text, other = {}) => {
          try {
            read(text, { ...about, ...other });
          } catch (error) {
            return error.reason;
          }
        };
        const reasons = [
          ...["x", "{}", "null"].map((text) => reason(text)),
          reason(text, { network: "d" }),
          reason(text, { features: 4 }),
          reason(text.replace('"name"', '"n"')),
        ];
        const found = { name, id, embedding: [...embedding], thumbnail: [...thumbnail], reasons };
        console.log(JSON.stringify(found));
    """)
    assert found["name"] == "杯子" and found["id"] == "e"
    assert found["embedding"] == np.array([0.1, -2, 3e-9], "float32").tolist()
    assert found["thumbnail"] == [0, 200, 255]
    wrong = ["notSaved"] * 3 + ["otherNetwork"] + ["damaged"] * 2
    assert found["reasons"] == wrong
