"""Writing the page's folder: the page itself, the learner and what runs it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from meta_tf.algorithms import InnerLoop
from meta_tf.demo.manifest import check_learner, manifest, steps_shown
from meta_tf.demo.runtime import copy_runtime
from meta_tf.files import whole_folder
from meta_tf.learner import MetaLearner

PAGE = Path(__file__).resolve().parent / "page"
RUNTIME = "runtime"
_MARK = "manifest.json"  # a folder with this in it is an earlier page


def write_page(learner: MetaLearner, folder: str | Path, name: str, package: Path) -> int:
    """Writes a static page in which a learner learns what its reader draws.

    Every file of the learner is run and compared with TensorFlow first, as `export` does.

    Args:
      learner: what tells classes of drawings apart: pictures [size, size, 1], ink 1 on 0.
      folder: where to write; new, empty, or an earlier page, which is replaced.
      name: what the page calls the learner.
      package: the unpacked package of what runs it, as `runtime_package` gives it.

    Returns:
      The size of the folder in bytes.

    Raises:
      ImportError: if the extra `onnx` is not installed.
      ValueError: if the folder holds something else, or the page cannot show the learner.

    Example:
      >>> write_page(learner, "page", "mine", runtime_package())     # doctest: +SKIP
    """
    folder = Path(folder)
    check_folder(folder)
    check_learner(learner, name)
    with whole_folder(folder) as part:
        shutil.copytree(PAGE, part, ignore=shutil.ignore_patterns("__pycache__"))
        copy_runtime(package, part / RUNTIME)
        after = [_write_learner(learner, steps, part) for steps in steps_shown(learner)]
        text = json.dumps(manifest(learner, name, after), indent=2)
        (part / _MARK).write_text(text + "\n", encoding="utf-8")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def check_folder(folder: Path) -> None:
    """Raises ValueError unless a page can be written there without a loss of something else."""
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).is_file()):
        raise ValueError(
            "`folder` must be a new folder, an empty one or an earlier page, which is replaced. "
            f"Received: {str(folder)!r}, which holds something else."
        )


def _write_learner(learner: MetaLearner, steps: int, folder: Path) -> dict[str, Any]:
    """Writes the files that learn in so many steps, and that predict then; tells their names.

    Either pair is of one export: the names of the weights between the two are its own.
    """
    names = {signature: f"{signature}_{steps}.onnx" for signature in ("adapt", "predict")}
    with tempfile.TemporaryDirectory() as temporary:
        exported = Path(temporary) / "learner"
        _in_steps(learner, steps).export(exported, format="onnx", shots=None)
        for signature, name in names.items():
            shutil.copyfile(exported / f"{signature}.onnx", folder / name)
    return {"steps": steps, **names}


def _in_steps(learner: MetaLearner, steps: int) -> MetaLearner:
    """The same learner, but for the number of its inner steps."""
    algorithm = learner.algorithm
    if not isinstance(algorithm, InnerLoop) or algorithm.steps_to_evaluate() == steps:
        return learner
    changed = dataclasses.replace(algorithm, eval_steps=steps)
    written = keras.saving.serialize_keras_object(changed)
    again = MetaLearner.from_config({**learner.get_config(), "algorithm": written})
    again.set_weights(learner.get_weights())
    return again
