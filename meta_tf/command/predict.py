"""`meta-tf predict`: predicts new examples with a model that `meta-tf adapt` saved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from meta_tf.command import adapt_table
from meta_tf.command.adapt_table import Rows, is_table
from meta_tf.command.learners import load_saved
from meta_tf.command.new_pictures import inputs_of, new_pictures
from meta_tf.command.picture_answers import Output, answers_of, show
from meta_tf.learner.adapted_model import AdaptedModel
from meta_tf.run.devices import set_up_device
from meta_tf.run.settings import Device


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What predicts, and what to predict.

    Args:
      model: a .keras file that `meta-tf adapt --save` wrote, or an adapted model saved in Python.
      query: a folder of new pictures, one picture, or a table.
      device: where to compute; "auto" is a GPU if there is one.
    """

    model: str | Path
    query: str | Path
    device: Device = "auto"


GROUPS = {
    "prediction": [Prediction, "--import"],
    "the answers": [Output],
    "tables": [Rows],
}
EXAMPLES = """
  meta-tf adapt my_photos new_photos --save=adapted.keras
  meta-tf predict adapted.keras other_photos --output=answers.csv
Pictures are read as in the adaptation. Subfolders of QUERY with the names of classes are labels:
the command then says how many answers are right. A table has rows of the group that was learned.
"""


def run(settings: tuple[Prediction, Output, Rows]) -> None:
    """Prints a prediction for each example in `query`, and how sure the model is of it."""
    what, output, rows = settings
    output.check()
    table = is_table("--query", what.query, rows, dataclasses.replace(output, output=None))
    set_up_device(what.device, share_operations=not table)
    fitted = load_saved(what.model, "model", AdaptedModel, "a file of meta-tf adapt --save")
    if table:
        adapt_table.predict(fitted, what.query, rows, output.output)
        return
    if fitted.pictures is None or fitted.input_shape is None:
        raise ValueError(
            "--model must take pictures of a fixed size. Received: "
            f"--model={what.model}, which takes {fitted.input_shape}."
        )
    outputs = fitted.classes or fitted.output_shape[-1]
    classes = fitted.class_names or [f"class {i}" for i in range(outputs)]
    new = new_pictures(Path(what.query), classes, output.note)
    x = inputs_of(new.paths, fitted.pictures, output.note)
    answers = answers_of(fitted, classes, new, x, output.unknown)
    show(answers, output, fitted.pictures, "", {"model": str(what.model)})
