"""`meta-tf adapt`: learns a task from a few examples, and predicts new ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from meta_tf.command import adapt_pictures, adapt_table
from meta_tf.command.adapt_pictures import Pictures
from meta_tf.command.adapt_table import SUFFIXES, Rows
from meta_tf.command.picture_answers import Output
from meta_tf.command.settings import Adaptation
from meta_tf.files import check_writable

GROUPS = {
    "adaptation": [Adaptation, "--import"],
    "the answers": [Output],
    "pictures": [Pictures],
    "tables": [Rows],
}
EXAMPLES = adapt_pictures.EXAMPLES.rstrip("\n") + adapt_table.EXAMPLES


def run(settings: tuple[Adaptation, Output, Pictures, Rows]) -> None:
    """Prints a prediction for each new example, and how sure the learner is of it."""
    adaptation, output, pictures, rows = settings
    output.check()
    if adaptation.save:
        check_writable("--save", adaptation.save, ".keras")
    if Path(adaptation.support).suffix.lower() in SUFFIXES:
        _check_unset("pictures", pictures, dataclasses.replace(output, output=None))
        adapt_table.run(adaptation, rows, output.output)
    else:
        _check_unset("tables", rows)
        adapt_pictures.run(adaptation, pictures, output)


def _check_unset(only_for: str, *settings: Any) -> None:
    """Raises ValueError for a setting that means nothing for the data at hand."""
    for one in settings:
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if value != field.default:
                raise ValueError(
                    f"--{field.name} is only for {only_for}. Received: {value!r}, and --support "
                    f"is {'a table' if only_for == 'pictures' else 'no table'}. Leave it out."
                )
