"""Draws docs/figures/photographs.png: what `meta-tf adapt` answers for made-up photographs.

python -m tools.photographs_figure
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from meta_tf.command.main import main
from tools.page.made_up import THINGS, photograph

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "photographs.png"
LEARNED, NEW = 2, 4  # photographs of each thing
HEIGHT, WIDTH = 224, 224


def write_photographs(folder: Path) -> None:
    """Writes photographs to learn from, in `support`, and new ones in `new`, by their class."""
    rng = np.random.default_rng(0)
    for name in THINGS:
        for i in range(LEARNED + NEW):
            path = folder / ("support" if i < LEARNED else "new") / name.lower() / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph(name, rng, HEIGHT, WIDTH)).save(path, quality=90)


def draw() -> None:
    """Runs the command, and reduces the colours of the figure to a quarter of the bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_photographs(folder)
        words = ["adapt", folder / "support", folder / "new", f"--figure={FIGURE}"]
        if code := main([str(word) for word in words]):
            raise SystemExit(code)
    with Image.open(FIGURE) as drawn:
        few = drawn.convert("RGB").quantize(128)
    few.save(FIGURE, optimize=True)


if __name__ == "__main__":
    draw()
