"""`Flag`: one setting of the command line."""

from __future__ import annotations

import dataclasses
from typing import Any

from meta_tf.runs.kinds import Kind


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag `--name=value`.

    Args:
      name: without its dashes.
      kind: what it takes.
      default: its value unless it is given; None for unset.
      help: what it means, a sentence or two.
      repeated: whether it may be given several times; its value is the tuple of all.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    repeated: bool = False
