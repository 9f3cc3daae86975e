"""`meta-tf adapt`: learns a task from a few examples, and predicts new ones."""

from __future__ import annotations

from absl import flags

from meta_tf.command import adapt_pictures
from meta_tf.command.adapt_pictures import Pictures
from meta_tf.command.adaptation import Adaptation
from meta_tf.command.define import settings_of

GROUPS = {"adaptation": [Adaptation, "--import"], "pictures": [Pictures]}
EXAMPLES = adapt_pictures.EXAMPLES


def settings(values: flags.FlagValues) -> tuple[Adaptation, Pictures]:
    """What the flags say."""
    return settings_of(Adaptation, values), settings_of(Pictures, values)


def run(asked: tuple[Adaptation, Pictures]) -> None:
    """Prints a prediction for each new example, and how sure the learner is of it."""
    adapt_pictures.run(*asked)
