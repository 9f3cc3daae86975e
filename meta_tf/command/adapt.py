"""`meta-tf adapt`: learns a task from a few examples, and predicts new ones."""

from __future__ import annotations

import dataclasses

from meta_tf.command import adapt_pictures, adapt_table
from meta_tf.command.adapt_pictures import Pictures
from meta_tf.command.adapt_table import Rows, is_table
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
    of_pictures = pictures, dataclasses.replace(output, output=None)
    if is_table("--support", adaptation.support, rows, *of_pictures):
        adapt_table.run(adaptation, rows, output.output)
    else:
        adapt_pictures.run(adaptation, pictures, output)
