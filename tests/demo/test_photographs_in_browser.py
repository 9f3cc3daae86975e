"""The page of photographs in Chromium: it learns and answers as Python does, and keeps it all."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import meta_tf
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.shown import Shown
from meta_tf.demo.write import write_page
from tools.page import browser
from tools.page.made_up import THINGS, photograph
from tools.page.photographs import PROGRAM, film

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser.missing()), reason=f"needs {browser.missing()}"),
    pytest.mark.skipif(
        not all(importlib.util.find_spec(p) for p in ("onnxruntime", "tf2onnx")),
        reason="needs the extra [onnx]",
    ),
]
SIZE = 224
NAMES = list(THINGS)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The learner, and the address of its page."""
    learner = meta_tf.pretrained("photos")
    folder = tmp_path_factory.mktemp("demo") / "page"
    try:
        package = runtime_package()
        browser.fetched_driver()
    except (RuntimeError, OSError) as error:
        pytest.skip(f"needs packages of npm: {error}")
    write_page([Shown(learner, "photos")], folder, package)
    assert sum(file.stat().st_size for file in folder.rglob("*.*")) < 15e6
    with browser.shown(folder) as url:
        yield learner, url


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three pictures of each thing, [5, 3, 224, 224, 3], and their files."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    # Drawn small and enlarged: the renderer is slow.
    made = np.stack(
        [[photograph(name, rng, SIZE // 2, SIZE // 2) for _ in range(3)] for name in NAMES]
    )
    made = made.repeat(2, axis=2).repeat(2, axis=3)
    files = [[folder / f"{name}{i}.png" for i in range(3)] for name in NAMES]
    for row, paths in zip(made, files, strict=True):
        for picture, path in zip(row, paths, strict=True):
            Image.fromarray(picture).save(path, icc_profile=other_colours())
    return made, [[str(path) for path in row] for row in files]


def other_colours():
    """A colour profile that exchanges red and blue; Python does not use profiles."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


def test_the_same_pixels_give_the_same_answers_as_in_python(shown, pictures):
    learner, url = shown
    made, files = pictures
    teach = {
        "names": NAMES,
        "files": [row[: 1 + i % 2] for i, row in enumerate(files)],
        "ask": [row[2] for row in files],
    }
    found = browser.in_browser({"url": url, "teach": teach}, PROGRAM)
    assert found["problems"] == found["elsewhere"] == []
    assert [each["name"] for each in found["taught"]] == NAMES
    counts = [len(paths) for paths in teach["files"]]
    support = np.concatenate([made[i, :count] for i, count in enumerate(counts)])
    fitted = learner.adapt(support.astype("float32"), np.repeat(np.arange(len(NAMES)), counts))
    queries = made[:, 2].astype("float32")
    logits = fitted.predict(queries, verbose=0)[:, : len(NAMES)]
    np.testing.assert_allclose([a["logits"] for a in found["answers"]], logits, atol=1e-3)
    probabilities, strangeness = fitted.predict_with_strangeness(queries)
    found_probabilities = [answer["probabilities"] for answer in found["answers"]]
    np.testing.assert_allclose(found_probabilities, probabilities[:, : len(NAMES)], atol=1e-3)
    assert [answer["none"] for answer in found["answers"]] == (strangeness > 0).tolist()
    assert np.argmax(logits, -1).tolist() == list(range(len(NAMES)))
    said = [answer["name"] for answer in found["answers"]]
    assert said == [f"{name}2.png" for name in NAMES]


def test_five_things_are_taught_and_recognised_by_the_camera(shown, pictures, tmp_path):
    _, url = shown
    made, _ = pictures
    video, codes = film(made, tmp_path / "camera.mjpeg")
    work = {"names": NAMES, "codes": codes, "asks": 10}
    found = browser.in_browser({"url": url, "video": str(video), "camera": work}, PROGRAM)
    assert found["taught"] == [{"name": name, "examples": 2} for name in NAMES]
    right = [answer["label"] == answer["best"] for answer in found["answers"]]
    assert np.mean(right) >= 0.9
    assert found["after"] == {"video": None, "hidden": True}
    assert found["problems"] == found["elsewhere"] == []


def test_all_else_that_a_person_may_do(shown, pictures, tmp_path):
    learner, url = shown
    made, files = pictures
    wrong = {"text": "notes.jpg", "heic": "IMG_1.HEIC", "saved": "saved.json"}
    wrong = {kind: str(tmp_path / name) for kind, name in wrong.items()}
    for path in wrong.values():
        Path(path).write_text("{}")
    (tmp_path / "downloads").mkdir()
    # Twelve megapixels, lying on its side with an EXIF tag that says so.
    mug, names = made[3, 2], NAMES[3:]
    large = Image.fromarray(mug).resize((4000, 3000)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    large.save(tmp_path / "large.jpg", exif=exif)
    work = {
        "names": names,
        "files": [files[3][:1], files[4][:2]],
        "ask": [str(tmp_path / "large.jpg")],
        "wrong": wrong,
        "downloads": str(tmp_path / "downloads"),
    }
    found = browser.in_browser({"url": url, "walk": work}, PROGRAM)
    steps = found["steps"]
    counts = {name: [each["examples"] for each in step["taught"]] for name, step in steps.items()}
    assert counts == {
        "taught": [1, 2],
        "added": [2, 2],
        "example_deleted": [1, 2],
        "example_back": [2, 2],
        "deleted": [2],
        "back": [2, 2],
        "same_name": [1, 2],
        "wrong_text": [1, 2],
        "wrong_heic": [1, 2],
        "no_camera": [1, 2],
        "wrong_saved": [1, 2],
        "reloaded": [1, 2],
        "forgotten": [0, 0],
        "forgotten_for_good": [0, 0],
        "loaded": [1, 2],
        "loaded_again": [1, 2],  # not twice
        "offline": [1, 2],
    }
    assert all(
        [each["name"] for each in step["taught"]] == names
        for name, step in steps.items()
        if name not in ("deleted", "forgotten", "forgotten_for_good")
    )
    notices = {name: step["notice"] for name, step in steps.items()}
    assert notices["deleted"] == "Deleted Mug."
    assert "called Mug" in notices["same_name"]
    assert notices["wrong_text"].startswith("notes.jpg is not a picture")
    assert "HEIC" in notices["wrong_heic"] and "JPEG" in notices["wrong_heic"]
    assert notices["no_camera"].startswith("No camera was found")
    assert notices["wrong_saved"].startswith("This is not a file that this page has saved")
    # The embeddings came back as they were.
    assert found["after"]["logits"] == found["before"]["logits"]
    # The picture stood upright: its middle square is nearer to the upright one than to it lying.
    wide = Image.fromarray(mug).resize((SIZE * 4 // 3, SIZE)).crop((37, 0, 37 + SIZE, SIZE))
    turned = np.stack([np.asarray(wide.rotate(angle)) for angle in (0, 90)]).astype("float32")
    upright, lying = learner.model(turned).numpy() @ found["after"]["embedding"]
    assert upright > 0.95 > lying
    assert found["said"]["en"].startswith("This is Mug") and "这是“Mug”" in found["said"]["zh"]
    assert found["dropped"] == [False, False, False] and found["unlabelled"] == []
    assert found["problems"] == found["elsewhere"] == []
    (saved,) = (tmp_path / "downloads").iterdir()
    assert [each["name"] for each in json.loads(saved.read_text())["classes"]] == names
