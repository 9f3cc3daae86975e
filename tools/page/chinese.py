"""Measures whether a learner recognises Chinese characters drawn on the page with a pen.

    pip install kanjivg fonttools
    python -m tools.page.chinese [--learner=chinese_characters] [--part=test]

Two public collections contain the strokes of characters: KanjiVG (the Python package `kanjivg`,
CC BY-SA 3.0) and hanzi-writer-data (npm, Arphic Public License). Held-out characters that are in
both collections pass, as paths of a pen, through the page's own code: one collection's drawings
teach five characters, and the other's drawing of each is predicted alone. Writes
benchmarks/results/page_chinese.json; keeps nothing of either collection.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.chinese_characters import SPLIT
from meta_tf import zoo
from meta_tf.command.learners import load
from tools.page.keep import keep
from tools.page.pixels import pixels_of
from tools.page.trace import Stroke

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "page_chinese.json"
PACKAGE = "hanzi-writer-data@2.0.1"
SIZE, WAYS, TASKS = 28, 5, 600
_KANJI = 109  # side of KanjiVG's canvas
_HANZI, _TOP = 1024, 900  # side of hanzi-writer-data's canvas, and the ordinate of its top
_SHARES = np.linspace(0, 1, 9)[1:]  # positions on a curve at which to take points


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learner", default="chinese_characters")
    parser.add_argument("--part", choices=["valid", "test"], default="test")
    parser.add_argument("--pen", type=float, help="another width than the learner's")
    parser.add_argument("--side", type=float, help="another longer side than the learner's")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    drawn = zoo.trained_on(Path(options.learner).stem)
    pen, side = options.pen or drawn.pen, options.side or drawn.side
    characters, drawings = both(json.loads(SPLIT.read_text(encoding="utf-8"))[options.part])
    pictures = [pixels_of(each, SIZE, pen, side) for each in drawings]
    learner = load(options.learner, "learner")
    shares = np.array(
        [
            share
            for teaching, asking in (pictures, pictures[::-1])
            for share in measured(learner, teaching, asking)
        ]
    )
    right = shares[:, 0]
    found = {
        "part": options.part,
        "pen": pen,
        "side": side,
        "characters": len(characters),
        "tasks": len(right),
        "right": float(np.mean(right)),
        "ci95": float(1.96 * np.std(right) / np.sqrt(len(right))),
    }
    if learner.calibration is not None:
        known, strangers = shares[:, 1:].mean(0).tolist()
        found |= {"known_called_unknown": known, "strangers_called_unknown": strangers}
    keep(options.results, Path(options.learner).stem, found)


def both(characters: list[str]) -> tuple[list[str], tuple[list[list[Stroke]], ...]]:
    """The characters in both collections, and their strokes in each."""
    kanji, hanzi = kanji_of(characters), hanzi_of(characters)
    common = [character for character in characters if character in kanji and character in hanzi]
    return common, tuple([known[character] for character in common] for known in (kanji, hanzi))


def kanji_of(characters: list[str]) -> dict[str, list[Stroke]]:
    """Strokes from KanjiVG."""
    wanted = {f"{ord(character):05x}.svg": character for character in characters}
    found = {}
    for file in importlib.metadata.files("kanjivg") or ():
        if file.name in wanted:
            paths = re.findall(r'<path[^>]*\sd="([^"]+)"', Path(file.locate()).read_text())
            found[wanted[file.name]] = [_points(path) for path in paths]
    return found


def hanzi_of(characters: list[str]) -> dict[str, list[Stroke]]:
    """Strokes from hanzi-writer-data, fetched by npm."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as files:
            names = set(files.getnames())
            return {
                character: [
                    [(x / _HANZI, (_TOP - y) / _HANZI) for x, y in median]
                    for median in json.load(files.extractfile(name))["medians"]
                ]
                for character in characters
                if (name := f"package/{character}.json") in names
            }


def measured(learner: Any, teaching: np.ndarray, asking: np.ndarray) -> list[list[float]]:
    """For each task the accuracy, with each drawing predicted alone.

    Of a calibrated learner, also the share of drawings that are called none of the characters: of
    the taught ones, and of as many others.
    """
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(TASKS // 2):
        chosen = rng.choice(len(teaching), 2 * WAYS, replace=False)
        taught, others = chosen[:WAYS], chosen[WAYS:]
        fitted = learner.adapt(teaching[taught], np.arange(WAYS))
        batch = teaching[taught]
        logits = fitted.predict_one_by_one(asking[taught], batch_with=batch)[:, :WAYS]
        found = [np.mean(logits.argmax(-1) == np.arange(WAYS))]
        if learner.calibration is not None:
            for drawings in (asking[taught], asking[others]):
                _, strange = fitted.predict_with_strangeness(drawings, batch_with=batch)
                found.append(np.mean(strange > 0))
        shares.append([float(share) for share in found])
    return shares


def _points(path: str) -> Stroke:
    """An SVG path as a line of points, in fractions of the canvas."""
    from fontTools.pens.recordingPen import RecordingPen
    from fontTools.svgLib.path import parse_path

    pen = RecordingPen()
    parse_path(path, pen)
    points: list[np.ndarray] = []
    for kind, given in pen.value:
        ends = [np.array(point) for point in given]
        if kind in ("moveTo", "lineTo"):
            points.append(ends[0])
        elif kind == "curveTo":
            a, (b, c, d) = points[-1], ends
            points += [
                (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
                for t in _SHARES
            ]
    return [(float(x) / _KANJI, float(y) / _KANJI) for x, y in points]


if __name__ == "__main__":
    main()
