"""The settings of `meta-tf adapt` that every kind of data has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from meta_tf.run.settings import AtLeast, Device


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """What to learn from, and what to predict.

    Args:
      support: a folder with a subfolder of pictures for each class.
      query: a folder of new pictures.
      learner: a .keras file, a run's folder, or a shipped learner.
      eval_steps: inner steps; the learner's own if unset.
      output: a csv file to write the predictions to.
      save: a .keras file for the adapted model.
      device: where to compute; "auto" is a GPU if there is one.
    """

    support: str | Path | None = None
    query: str | Path | None = None
    learner: str | Path = "omniglot"
    eval_steps: Annotated[int, AtLeast(0)] | None = None
    output: str | Path | None = None
    save: str | Path | None = None
    device: Device = "auto"
