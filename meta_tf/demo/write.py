"""Writes the page's folder: the page itself, the learners and their runtime."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from meta_tf.algorithms import InnerLoop
from meta_tf.demo.manifest import Shown, check_learner, entry, manifest, steps_shown
from meta_tf.demo.runtime import copy_runtime
from meta_tf.files import check_replaceable, temporary_folder, whole_folder
from meta_tf.learner import MetaLearner

PAGE = Path(__file__).resolve().parent / "page"
RUNTIME = "runtime"
_MARK = "manifest.json"  # identifies an earlier page


def write_page(shown: Sequence[Shown], folder: str | Path, package: Path) -> int:
    """Writes a static page on which a learner learns what the user draws.

    Every learner's files are first run and compared with TensorFlow, as in `export`.

    Args:
      shown: the learners; the user can choose between them, and the page starts with the first.
      folder: the folder to write: new, empty, or an earlier page, which is replaced.
      package: the unpacked runtime package, as returned by `runtime_package`.

    Returns:
      The size of the folder in bytes.

    Raises:
      ImportError: if the extra `onnx` is not installed.
      ValueError: if the folder contains something else, or the page cannot show a learner.

    Example:
      >>> shown = [Shown(learner, "mine")]
      >>> write_page(shown, "page", runtime_package())              # doctest: +SKIP
    """
    folder = Path(folder)
    check_folder(folder)
    for each in shown:
        check_learner(each)
    with whole_folder(folder) as part:
        shutil.copytree(PAGE, part, ignore=shutil.ignore_patterns("__pycache__"))
        copy_runtime(package, part / RUNTIME)
        entries = [_write_learner(each, part, f"learner{i}") for i, each in enumerate(shown, 1)]
        text = json.dumps(manifest(entries), indent=2)
        (part / _MARK).write_text(text + "\n", encoding="utf-8")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def check_folder(folder: Path) -> None:
    """Raises ValueError if writing a page there would overwrite something else."""
    check_replaceable("folder", folder, "page", lambda page: (page / _MARK).is_file())


def _write_learner(shown: Shown, part: Path, name: str) -> dict[str, Any]:
    """Writes a learner's files into a folder with that name; returns its manifest entry."""
    (part / name).mkdir()
    after = [_write_steps(shown.learner, n, part, name) for n in steps_shown(shown.learner)]
    return entry(shown, after)


def _write_steps(learner: MetaLearner, steps: int, part: Path, name: str) -> dict[str, Any]:
    """Writes the files that adapt with `steps` inner steps and then predict; returns their names.

    Each pair comes from one export, because the two must use the same names for weights.
    """
    names = {signature: f"{name}/{signature}_{steps}.onnx" for signature in ("adapt", "predict")}
    with temporary_folder() as temporary:
        exported = temporary / "learner"
        _in_steps(learner, steps).export(exported, format="onnx")
        for signature, path in names.items():
            shutil.copyfile(exported / f"{signature}.onnx", part / path)
    return {"steps": steps, **names}


def _in_steps(learner: MetaLearner, steps: int) -> MetaLearner:
    """The same learner with another number of inner steps."""
    algorithm = learner.algorithm
    if not isinstance(algorithm, InnerLoop) or algorithm.steps_to_evaluate() == steps:
        return learner
    changed = dataclasses.replace(algorithm, eval_steps=steps)
    written = keras.saving.serialize_keras_object(changed)
    again = MetaLearner.from_config({**learner.get_config(), "algorithm": written})
    again.set_weights(learner.get_weights())
    return again
