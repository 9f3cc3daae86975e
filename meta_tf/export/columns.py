"""What an export takes in place of a table's texts and gaps, beside the file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from meta_tf.files import write_text
from meta_tf.layers.table_columns import MISSING
from meta_tf.tasks.columns import Columns


def described(columns: Columns) -> dict[str, Any]:
    """The columns as JSON: a category is its place in its list, and a gap the number `missing`."""
    return {**dataclasses.asdict(columns), "missing": MISSING}


def write_columns(exported: Path, columns: Columns) -> None:
    """Writes them to `FILE.columns.json` beside an exported file or folder."""
    text = json.dumps(described(columns), ensure_ascii=False, indent=2)
    write_text(exported.with_name(f"{exported.name}.columns.json"), text + "\n")
