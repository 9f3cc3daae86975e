"""The page of photographs in a real browser: its speed, and whether it answers as Python does.

    python -m tools.page.photographs [--data_dir=DIR] [--picture] [--size=SIZE]

Chromium shows made-up photographs as its camera: five things are taught by two pictures each and
then recognised in the moving picture. With `--data_dir`, a folder of photographs with a subfolder
for each class, files are taught and recognised too, and compared with Python's answers to the same
files. Writes benchmarks/results/page_photographs.json and, with `--picture`, the picture in
docs/demo.md.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import meta_tf
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.shown import Shown
from meta_tf.demo.write import write_page
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.zoo.photos import photos
from tools.page.browser import in_browser, quantiles, shown
from tools.page.keep import keep
from tools.page.made_up import THINGS, photograph

PROGRAM = Path(__file__).with_suffix(".mjs")
ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "page_photographs.json"
PICTURE = ROOT / "docs" / "figures" / "demo_photographs.png"
SHOTS, ASKED = 3, 5  # of each class, with files
# The frames of each class have one of these colours at their left edge, for `photographs.mjs`.
CODES = ([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255])
_FRAMES = 30  # of each picture: a second in Chromium


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", type=Path, help="a folder of photographs, for files")
    parser.add_argument("--tasks", type=int, default=10, help="of five classes each, with files")
    parser.add_argument("--asks", type=int, default=100, help="frames of the camera")
    parser.add_argument("--size", type=int, default=224, help="of the network's pictures")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", action="store_true", help=f"write {PICTURE.name}")
    options = parser.parse_args()
    learner = photos(efficientnet_lite0(options.size))
    learner.calibration = meta_tf.pretrained("photos").calibration
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        size = write_page([Shown(learner, "photos")], folder / "page", runtime_package())
        pictures = made_up(options.size)
        found: dict[str, Any] = {"megabytes": size / 1e6}
        with shown(folder / "page") as url:
            found["camera"] = by_camera(url, pictures, folder, options.asks)
            if options.data_dir:
                found["files"] = by_files(url, learner, tasks_of(options.data_dir, options.tasks))
            if options.picture:
                draw(url, folder)
    keep(options.results, f"photos at {options.size}", found)


def made_up(size: int) -> list[np.ndarray]:
    """Three pictures of each thing, [3, size, size, 3]."""
    rng = np.random.default_rng(0)
    return [np.stack([photograph(name, rng, size, size) for _ in range(3)]) for name in THINGS]


def by_camera(url: str, pictures: list[np.ndarray], folder: Path, asks: int) -> dict[str, Any]:
    """What the page does by the camera: its accuracy and speed."""
    video, codes = film(pictures, folder / "camera.mjpeg")
    work = {"names": list(THINGS), "codes": codes, "asks": asks}
    found = in_browser({"url": url, "video": str(video), "camera": work}, PROGRAM)
    answers = found["answers"]
    return {
        "frames": len(answers),
        "right": float(np.mean([answer["label"] == answer["best"] for answer in answers])),
        "picture_ms": quantiles([answer["ms"] for answer in answers]),
        "pictures_a_second": found["pictures_a_second"],
        "cpu_ms_a_picture": found["cpu_ms"],
        "problems": found["problems"],
        "asked_elsewhere": found["elsewhere"],
    }


def tasks_of(data_dir: Path, number: int) -> list[dict[str, Any]]:
    """Tasks of five classes: for each, files to teach and files to ask about."""
    rng = np.random.default_rng(1)
    classes = sorted(path for path in data_dir.iterdir() if path.is_dir())
    tasks = []
    for _ in range(number):
        chosen = [classes[i] for i in rng.choice(len(classes), min(5, len(classes)), replace=False)]
        files = [
            rng.permutation(sorted(map(str, each.iterdir())))[: SHOTS + ASKED] for each in chosen
        ]
        tasks.append(
            {
                "names": [each.name[:40] for each in chosen],
                "files": [each[:SHOTS].tolist() for each in files],
                "ask": [name for each in files for name in each[SHOTS:].tolist()],
            }
        )
    return tasks


def by_files(url: str, learner: meta_tf.MetaLearner, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The answers to files beside Python's, which reads and shrinks them by itself."""
    right, same, differences = [], [], []
    for task in tasks:
        found = in_browser({"url": url, "teach": task}, PROGRAM)
        files = [name for each in task["files"] for name in each]
        labels = np.repeat(np.arange(len(task["files"])), SHOTS)
        truth = np.repeat(np.arange(len(task["files"])), ASKED)
        fitted = learner.adapt(files, labels)
        expected = fitted.predict_proba(task["ask"])[:, : len(task["files"])]
        answers = np.array([answer["probabilities"] for answer in found["answers"]])
        right.append(answers.argmax(1) == truth)
        same.append(answers.argmax(1) == expected.argmax(1))
        differences.append(np.abs(answers - expected).max(1))
    return {
        "tasks": len(tasks),
        "pictures": int(np.size(right)),
        "right": float(np.mean(right)),
        "same_answer_in_python": float(np.mean(same)),
        "difference_of_probabilities": quantiles(np.ravel(differences).tolist()),
    }


def draw(url: str, folder: Path) -> None:
    """Writes the picture in docs/demo.md: made-up things, and a mug that is recognised."""
    rng = np.random.default_rng(4)
    files = []
    for name in THINGS:
        paths = [folder / f"{name}{i}.png" for i in range(4)]
        for path in paths:
            size = 480 if path.name == "Mug3.png" else 192
            Image.fromarray(photograph(name, rng, size, size)).save(path)
        files.append([str(path) for path in paths])
    teach = {
        "names": list(THINGS),
        "files": [each[:3] for each in files],
        "ask": [each[3] for each in (files[3], *files[:3], files[4])],
    }
    look = {"language": "en", "width": 1180, "height": 1240, "full": False}
    in_browser({"url": url, "shots": [{"file": str(PICTURE), "teach": teach, **look}]}, PROGRAM)
    with Image.open(PICTURE) as picture:
        small = picture.convert("RGB").quantize(256)  # a third of the bytes
    small.save(PICTURE, optimize=True)


def film(pictures: Sequence[np.ndarray], path: Path) -> tuple[Path, list[list[int]]]:
    """Writes a video for Chromium's fake camera: the pictures, one class after the other.

    Args:
      pictures: for each of up to five classes, square pictures, uint8 [n, size, size, 3].
      path: the file, with the suffix `.mjpeg`.

    Returns:
      The path, and the colour at the left edge of each class's frames.
    """
    codes = list(CODES[: len(pictures)])
    with path.open("wb") as file:
        for number in range(min(len(each) for each in pictures)):
            for each, code in zip(pictures, codes, strict=True):
                frame = np.empty([480, 640, 3], np.uint8)
                frame[:] = code
                frame[:, 80:560] = Image.fromarray(each[number]).resize((480, 480))
                file.write(_FRAMES * _jpeg(frame))
    return path, codes


def _jpeg(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=90, subsampling=0)
    return content.getvalue()


if __name__ == "__main__":
    main()
