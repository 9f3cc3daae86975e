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
      support: a folder with a subfolder of pictures for each class, or a table.
      query: a folder of new pictures, or a table.
      learner: a .keras file, a run's folder, or a shipped learner; if unset, one that suits the
        support set.
      eval_steps: inner steps; the learner's own if unset.
      save: a .keras file for the adapted model.
      device: where to compute; "auto" is a GPU if there is one.
    """

    support: str | Path | None = None
    query: str | Path | None = None
    learner: str | Path | None = None
    eval_steps: Annotated[int, AtLeast(0)] | None = None
    save: str | Path | None = None
    device: Device = "auto"
