"""The fields of the algorithms, read off their source: importing it would need TensorFlow."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "algorithms"


class Field(NamedTuple):
    """A field of a dataclass: its `annotation` as it is written, its default, its description.

    `default` is `...` where there is none, and a text where it is not a literal.
    """

    name: str
    annotation: str
    default: Any
    about: str


@functools.cache
def fields_of(class_name: str) -> tuple[Field, ...]:
    """The fields of an algorithm's class, its bases' first, in the order of `dataclasses.fields`.

    Example:
      >>> [field.name for field in fields_of("R2D2")]
      ['ways', 'regularization', 'scale']
    """
    found: dict[str, Field] = {}
    for node in reversed(_bases(class_name)):
        about = arguments(ast.get_docstring(node) or "")
        for name, before in found.items():  # a subclass may describe what it inherits
            found[name] = before._replace(about=about.get(name, before.about))
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                annotation = ast.unparse(line.annotation)
                if not annotation.startswith("ClassVar"):
                    name = line.target.id
                    inherited = found[name].about if name in found else ""
                    described = about.get(name, inherited)
                    found[name] = Field(name, annotation, _default(line.value), described)
    return tuple(found.values())


def arguments(docstring: str) -> dict[str, str]:
    """The descriptions in the section `Args:` of a docstring, by name, each in one line."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", inspect.cleandoc(docstring), re.MULTILINE)
    entries = re.split(r"^  (?=\w)", section[1] if section else "", flags=re.MULTILINE)
    found = {}
    for entry in entries:
        names, colon, text = entry.partition(":")
        if colon:
            found.update({name: " ".join(text.split()) for name in names.split(", ")})
    return found


def offered() -> list[str]:
    """The names that the algorithms' room offers, in the order of its imports."""
    tree = ast.parse((FOLDER / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [alias.name for node in imports for alias in node.names]


@functools.cache
def _classes() -> dict[str, ast.ClassDef]:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.py")))
    return {
        node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)
    }


def _bases(class_name: str) -> list[ast.ClassDef]:
    """The class and those that it is derived from, of this package; single inheritance."""
    node = _classes().get(class_name)
    if node is None:  # abc.ABC and the like
        return []
    return [node, *(base for name in node.bases for base in _bases(ast.unparse(name)))]


def _default(value: ast.expr | None) -> Any:
    """The default, also of `dataclasses.field(default=…)`."""
    if isinstance(value, ast.Call):
        value = next((k.value for k in value.keywords if k.arg == "default"), None)
    if value is None:
        return ...
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)
