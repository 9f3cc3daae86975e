"""Class names beside an exported model, whose own outputs are numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from meta_tf.files import write_text


def write_class_names(exported: Path, names: Sequence[str]) -> Path:
    """Writes the names as a JSON list in the order of the class numbers; returns its path.

    Args:
      exported: a SavedModel, which has a folder for such files, or a file.
      names: the names.
    """
    path = exported.with_name(f"{exported.name}.class_names.json")
    if exported.is_dir():
        path = exported / "assets.extra" / "class_names.json"
        path.parent.mkdir(exist_ok=True)
    write_text(path, json.dumps(list(names), ensure_ascii=False, indent=2) + "\n")
    return path
