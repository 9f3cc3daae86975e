"""The page in a real browser: its accuracy, and whether it computes the same as Python.

    python -m tools.page.browser --data_dir=DIR [--picture]

Chromium, driven by puppeteer-core, draws characters of Omniglot's test split with pointer
events: it teaches five characters with one drawing each, then asks for another drawing of each,
one at a time. Writes benchmarks/results/page_browser.json and, with `--picture`, the picture in
docs/demo.md of the page with the first task.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

import meta_tf
from meta_tf.command.demo import learners_of
from meta_tf.demo.runtime import runtime_package
from meta_tf.demo.serve import address_of, served
from meta_tf.demo.write import write_page
from tools.page.keep import keep
from tools.page.omniglot import Drawings

PROGRAM = Path(__file__).with_suffix(".mjs")
RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "page_browser.json"
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "figures" / "demo.png"
DRIVER = "puppeteer-core@25.16.0"
WAYS = 5
EACH = 20  # drawings of a character


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument(
        "--learner",
        default="omniglot,chinese_characters",
        help="those of the page; the first one is measured",
    )
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", action="store_true", help="write docs/figures/demo.png")
    options = parser.parse_args()
    learners = learners_of(options.learner)
    learner, name, _ = learners[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "page"
        size = write_page(learners, folder, runtime_package())
        tasks = tasks_of(options)
        with shown(folder) as url:
            found = in_browser({"url": url, "tasks": tasks, "loads": 5})
            if options.picture:
                look = {"language": "en", "width": 1180, "height": 900}
                in_browser(
                    {"url": url, "shots": [{"file": str(PICTURE), "task": tasks[0], **look}]}
                )
    keep(options.results, name, {"megabytes": size / 1e6, **summary(learner, found)})


def tasks_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Tasks of the test split's characters, not rotated, as a person draws them."""
    characters = meta_tf.tasks.Omniglot(options.data_dir, rotations=None).test.classes
    drawn = Drawings(options.data_dir)
    rng = np.random.default_rng(1)
    tasks = []
    for _ in range(options.tasks):
        chosen = [characters[c] for c in rng.choice(len(characters), WAYS, replace=False)]
        pairs = [rng.choice(EACH, 2, replace=False) for _ in chosen]
        support = [drawn.strokes(c, int(n)) for c, (n, _) in zip(chosen, pairs, strict=True)]
        queries = [
            {"label": label, "strokes": drawn.strokes(c, int(n))}
            for label, (c, (_, n)) in enumerate(zip(chosen, pairs, strict=True))
        ]
        tasks.append({"support": support, "queries": queries})
    return tasks


@contextmanager
def shown(folder: Path) -> Iterator[str]:
    """The address of a folder, served as in `meta-tf demo`."""
    with served(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield address_of(server)
        server.shutdown()
        thread.join()


def in_browser(work: dict[str, Any], program: Path = PROGRAM) -> dict[str, Any]:
    """The results of `browser.mjs`, or of another program that uses `chromium.mjs`."""
    driver = fetched_driver()
    given = {"puppeteer": str(driver), "chromium": chromium(), **work}
    done = subprocess.run(
        ["node", str(program)], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"The browser's program failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def missing() -> str:
    """What is missing for a test in a browser, in words; empty if nothing is."""
    lacking = [name for name in ("node", "npm") if shutil.which(name) is None]
    return ", ".join(lacking if chromium() else [*lacking, "chromium"])


def chromium() -> str | None:
    """The path of Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def fetched_driver() -> Path:
    """The driver's module in the user's cache folder; npm fetches it once."""
    cache = platformdirs.user_cache_path("meta_tf", appauthor=False) / DRIVER
    module = cache / "node_modules" / "puppeteer-core" / "lib" / "puppeteer" / "puppeteer-core.js"
    if not module.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--prefix", str(cache), "--save-exact", DRIVER]
        subprocess.run(command, check=True)
    return module


def summary(learner: meta_tf.MetaLearner, found: dict[str, Any]) -> dict[str, Any]:
    """The summary of the tasks: how many answers are right, and whether Python agrees."""
    answers = [answer for task in found["tasks"] for answer in task["answers"]]
    right = [int(np.argmax(a["logits"])) == a["label"] for a in answers]
    differences, same = zip(*(in_python(learner, task) for task in found["tasks"]), strict=True)
    return {
        "tasks": len(found["tasks"]),
        "drawings": len(answers),
        "right": float(np.mean(right)),
        "difference_from_python": quantiles(list(differences)),
        "same_answer_in_python": sum(same),
        "load_ms": quantiles(found["load_ms"]),
        "learn_ms": quantiles([task["learn_ms"] for task in found["tasks"]]),
        "answer_ms": quantiles([answer["ms"] for answer in answers]),
        "problems": found["problems"],
        "asked_elsewhere": found["elsewhere"],
    }


def in_python(learner: meta_tf.MetaLearner, task: dict[str, Any]) -> tuple[float, int]:
    """The largest difference of a task's logits, relative to the largest, and the equal answers."""
    size = learner.model.input_shape[1]
    classes = [np.array(pictures, "float32") for pictures in task["support"]]
    support = np.concatenate(classes).reshape(-1, size, size, 1)
    labels = np.repeat(np.arange(len(classes)), [len(pictures) for pictures in classes])
    fitted = learner.adapt(support, labels)
    worst, same = 0.0, 0
    for answer in task["answers"]:
        query = np.array(answer["picture"], "float32").reshape(1, size, size, 1)
        (logits,) = fitted.predict_one_by_one(query, batch_with=support)
        expected = logits[: len(classes)].astype("float64")
        found = np.array(answer["logits"])
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
        same += int(found.argmax() == expected.argmax())
    return worst, same


def quantiles(values: list[float]) -> dict[str, float]:
    """The median and the largest."""
    return {"median": float(np.median(values)), "largest": max(values)}


if __name__ == "__main__":
    main()
