"""Keeps results of several learners in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def keep(path: Path, learner: str, found: dict[str, Any]) -> None:
    """Adds a learner's results to a JSON file, keeping the others', and prints them."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps({**known, learner: found}, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
