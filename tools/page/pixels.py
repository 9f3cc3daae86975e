"""Runs the page's own code for drawings in Node.js, without a browser."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from meta_tf.zoo import OMNIGLOT
from tools.page.trace import Stroke

PROGRAM = Path(__file__).with_suffix(".mjs")


def pixels_of(
    drawings: list[list[Stroke]],
    size: int,
    pen: float = OMNIGLOT.pen,
    side: float | None = OMNIGLOT.side,
) -> np.ndarray:
    """The pictures [n, size, size, 1] that the page would pass to the learner.

    Without a `side`, drawings keep their position and size.
    """
    done = subprocess.run(
        ["node", "--no-warnings", str(PROGRAM), str(size), str(pen), str(side or "drawn")],
        input=json.dumps(drawings).encode(),
        capture_output=True,
        check=True,
    )
    return np.frombuffer(done.stdout, "<f4").reshape(len(drawings), size, size, 1)
