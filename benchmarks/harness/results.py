"""Results as JSON files, each with its date, machine and versions."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "results"
_PACKAGES = (
    "tensorflow", "keras", "torch", "torchopt", "jax", "jaxlib", "numpy", "fastapi", "uvicorn",
)  # fmt: skip


def parser(doc: str, seconds: float = 3, rounds: int = 7) -> argparse.ArgumentParser:
    """A parser with the options shared by all scripts."""
    shared = argparse.ArgumentParser(description=doc.splitlines()[0])
    shared.add_argument("--seconds", type=float, default=seconds, help="of one measurement")
    shared.add_argument("--rounds", type=int, default=rounds, help="rounds to take the median of")
    shared.add_argument("--limit", type=float, default=300, help="seconds a command may take")
    shared.add_argument("--results", type=Path, default=FOLDER, help="folder to write to")
    return shared


def save(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Writes `<folder>/<name>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**about, **values}, indent=1) + "\n")
    print(f"Written to {path}.")


def load(folder: Path, name: str) -> dict[str, Any] | None:
    """The values that `save` wrote, or None."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def versions() -> dict[str, str]:
    """The versions of the installed packages: some benchmarks do not need the peers."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def machine() -> str:
    """Processor, cores, memory and operating system in one line."""
    import psutil

    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor() or platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.system()}, Python {platform.python_version()}"
    )
