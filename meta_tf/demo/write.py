"""Writes the page's folder: the page itself, the learners and their runtime."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from meta_tf.demo import drawings, photographs
from meta_tf.demo.runtime import copy_runtime
from meta_tf.demo.shown import Shown
from meta_tf.files import check_replaceable, whole_folder

PAGE = Path(__file__).resolve().parent / "page"
RUNTIME = "runtime"
_MARK = "manifest.json"  # identifies an earlier page


def write_page(shown: Sequence[Shown], folder: str | Path, package: Path) -> int:
    """Writes a static page on which a learner learns what the user draws or shows it.

    `shown` are learners of drawings, between which the user can choose (the page starts with the
    first), or one learner of photographs. Their files are run and compared with TensorFlow, as in
    `export`. The folder is new, empty, or an earlier page, which is replaced; `package` is what
    `runtime_package` returns. Returns the size of the folder in bytes.

    Raises ImportError if the extra `onnx` is not installed, and ValueError if the folder contains
    something else or the page cannot show a learner.
    """
    folder = Path(folder)
    check_folder(folder)
    kind = photographs if any(map(photographs.are_photographs, shown)) else drawings
    kind.check(shown)
    with whole_folder(folder) as part:
        _copy_page(kind.__name__.rpartition(".")[2], part)
        copy_runtime(package, part / RUNTIME)
        text = json.dumps(kind.write(shown, part), indent=2)
        (part / _MARK).write_text(text + "\n", encoding="utf-8")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def check_folder(folder: Path) -> None:
    """Raises ValueError if writing a page there would overwrite something else."""
    check_replaceable("folder", folder, "page", lambda page: (page / _MARK).is_file())


def _copy_page(kind: str, part: Path) -> None:
    """Copies what both pages share, and the page of one kind."""
    part.mkdir()
    for path in PAGE.iterdir():
        if path.name == kind:
            shutil.copytree(path, part / kind)
        elif path.name == f"{kind}.html":
            shutil.copyfile(path, part / "index.html")
        elif path.is_file() and path.suffix != ".html":
            shutil.copyfile(path, part / path.name)
