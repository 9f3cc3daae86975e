"""The site's docstrings: examples become code. Needs griffe, which the extra docs installs."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "docs" / "examples_extension.py"

pytestmark = pytest.mark.slow


def as_code(text):
    spec = importlib.util.spec_from_file_location("examples_extension", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.as_code(text)


def test_an_example_with_a_prompt_becomes_the_section_that_is_shown_as_code():
    text = "Adds.\n\nExample:\n  >>> add(1, 2)\n  3\n\nReference:\n  Peano 1889."
    assert as_code(text) == text.replace("Example:", "Examples:")


def test_an_example_without_a_prompt_becomes_a_block():
    text = "Adds.\n\n    Example:\n      add(1, 2)\n"
    assert as_code(text) == (
        "Adds.\n\n    Examples:\n      ```python\n      add(1, 2)\n      ```\n"
    )
