"""Reports the errors of a recipe in one line."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def in_one_line(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Ends the program with one line and the exit code 1 if files or packages are not right."""
    try:
        yield
    except ModuleNotFoundError as error:
        cure = "pip install -r benchmarks/data/requirements.txt"
        parser.exit(1, f"{parser.prog}: error: {error.name} is not installed: {cure}\n")
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: error: {' '.join(str(error).split())}\n")
