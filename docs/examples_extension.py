"""Shows the example of a docstring as code.

The docstrings head it with `Example:`, which the Google style reads as a note in
running text; `Examples:` is the section of code. An example without a prompt (one that
is told rather than run) becomes a block of Python.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_HEADING = re.compile(r"^( *)Example:\n((?:\1 +\S.*\n?|\s*\n)+)", re.MULTILINE)


class Examples(griffe.Extension):
    """Mends each docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **options: Any) -> None:
        """Called once for every object that has been read."""
        del options
        if obj.docstring:
            obj.docstring.value = as_code(obj.docstring.value)


def as_code(text: str) -> str:
    """The docstring with its example as a section of code."""
    return _HEADING.sub(_section, text)


def _section(match: re.Match[str]) -> str:
    indent, body = match[1], match[2]
    if ">>>" in body:
        return f"{indent}Examples:\n{body}"
    return f"{indent}Examples:\n{indent}  ```python\n{body.rstrip()}\n{indent}  ```\n"
