"""`meta-tf adapt`: learns a task from a few examples, and predicts new ones."""

from __future__ import annotations

from absl import flags

from meta_tf.command import adapt_pictures
from meta_tf.command.adapt_pictures import Pictures
from meta_tf.command.adaptation import Adaptation
from meta_tf.command.define import settings_of
from meta_tf.command.new_pictures import Told

GROUPS = {
    "adaptation": [Adaptation, "--import"],
    "the answers": [Told],
    "pictures": [Pictures],
}
EXAMPLES = adapt_pictures.EXAMPLES


def settings(values: flags.FlagValues) -> tuple[Adaptation, Pictures, Told]:
    """What the flags say."""
    kinds = Adaptation, Pictures, Told
    adaptation, pictures, told = (settings_of(kind, values) for kind in kinds)
    return adaptation, pictures, told


def run(asked: tuple[Adaptation, Pictures, Told]) -> None:
    """Prints a prediction for each new example, and how sure the learner is of it."""
    adapt_pictures.run(*asked)
